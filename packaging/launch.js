#!/usr/bin/env node
// Starts the program of this platform, which an optional package of the same version brings.
"use strict";
const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { name } = require("./package.json");

const platform = `${name}-${process.platform}-${process.arch}`;
const file = process.platform === "win32" ? "localstore.exe" : "localstore";
let program;
try {
  program = require.resolve(`${platform}/${file}`);
} catch {
  console.error(`localstore: no program for this platform: the package ${platform} is not installed`);
  console.error(`hint: install ${platform} as well, of the same version`);
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
// Ctrl-C, Ctrl-\ and Ctrl-Break reach the program from the terminal itself; what is sent to this process alone is
// passed on.
for (const signal of ["SIGINT", "SIGQUIT", "SIGBREAK"]) process.on(signal, () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`localstore: cannot start ${program}: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
