"""Answers what the real weakincentives says: a question a line on stdin, an answer a line on stdout.

The first argument is docs/prompt.md, which has `dump_prompt`. A question is an object with `op`; `root` is the folder
of a project, `tag` a tag. `make` names the prompt that the questions after it are about.
"""

import faulthandler
import io
import json
import logging
import pathlib
import re
import sys
from dataclasses import field, make_dataclass

from weakincentives.prompt import MarkdownSection, Prompt, PromptTemplate, Tool
from weakincentives.prompt.overrides import (
    LocalPromptOverridesStore,
    PromptDescriptor,
    PromptOverride,
    SectionOverride,
    ToolOverride,
    versioning,
)
from weakincentives.prompt.overrides.validation import FORMAT_VERSION

OVERRIDES = pathlib.Path(".weakincentives/prompts/overrides")


def parameters(name, named):
    """A dataclass of texts; `named` has a description or null for each."""
    told = lambda text: field(default="", metadata={} if text is None else {"description": text})
    return make_dataclass(name, [(key, str, told(text)) for key, text in named.items()], frozen=True)


def tool(spec):
    result = make_dataclass("Result", [("found", str, "")], frozen=True)
    kinds = parameters("Params", spec["params"]), result
    return Tool[kinds](name=spec["name"], description=spec["description"], handler=None)


def section(spec, bodies, path=()):
    path = (*path, spec["key"])
    kind, default = MarkdownSection, None
    if spec["params"]:
        names = [(name, str, f"<{name}>") for name in spec["params"]]
        params = make_dataclass("_".join(path).replace(".", "_").replace("-", "_"), names, frozen=True)
        kind, default = MarkdownSection[params], params()
    return kind(
        title=spec["key"],
        key=spec["key"],
        template=bodies.get("/".join(path), spec["body"]),
        default_params=default,
        children=[section(child, bodies, path) for child in spec["sections"]],
        tools=[tool(one) for one in spec["tools"]],
    )


def template(spec, bodies={}):
    sections = [section(one, bodies) for one in spec["sections"]]
    return PromptTemplate(ns=spec["ns"], key=spec["prompt_key"], sections=sections)


def store(root):
    # Since format 2 the path that is named is that of the overrides themselves.
    root = pathlib.Path(root)
    return LocalPromptOverridesStore(root_path=root if FORMAT_VERSION == 1 else root / OVERRIDES)


def filled(value, keys):
    return {key: getattr(value, key) for key in keys if getattr(value, key) is not None}


def section_of(override, path):
    entry = {"expected_hash": override.expected_hash, "body": override.body}
    if FORMAT_VERSION == 2:
        entry |= {"path": list(path)} | filled(override, ["summary", "visibility"])
    return entry


def step_of(step):
    return {"index": step.index} | filled(step, ["tool_name", "description", "input_json", "output_json"])


def example_of(example):
    entry = {"path": list(example.path), "index": example.index, "expected_hash": example.expected_hash}
    entry |= {"action": example.action} | filled(example, ["objective", "outcome"])
    for key in ["step_overrides", "steps_to_append"]:
        if steps := [step_of(step) for step in getattr(example, key)]:
            entry[key] = steps
    if example.steps_to_remove:
        entry["steps_to_remove"] = list(example.steps_to_remove)
    return entry


def record_of(override):
    """The override in the shape of a record."""
    record = {"version": FORMAT_VERSION, "ns": override.ns, "prompt_key": override.prompt_key, "tag": override.tag}
    record["sections"] = {"/".join(path): section_of(one, path) for path, one in override.sections.items()}
    record["tools"] = {
        name: {
            "expected_contract_hash": one.expected_contract_hash,
            "description": one.description,
            "param_descriptions": dict(one.param_descriptions),
        }
        for name, one in override.tool_overrides.items()
    }
    if FORMAT_VERSION == 2:
        record["task_example_overrides"] = [example_of(one) for one in override.task_example_overrides]
    return record


class Judge:
    def make(self, ask):
        """The prompt; its document, and what the library's descriptor says."""
        self.spec, self.template = ask["prompt"], template(ask["prompt"])
        self.descriptor = PromptDescriptor.from_prompt(self.template)
        out = io.StringIO()
        dump_prompt(self.template, out)
        tools = {one.name: one for node in self.template.sections for one in node.section.tools()}
        schemas = lambda one: {
            "description": one.description,
            "params_schema": versioning._params_schema(one.params_type),
            "result_schema": versioning._result_schema(one.result_type, one.result_container),
        }
        return {
            "document": out.getvalue(),
            "sections": [[list(one.path), one.content_hash] for one in self.descriptor.sections],
            "tools": [[one.name, one.contract_hash, schemas(tools[one.name])] for one in self.descriptor.tools],
        }

    def resolve(self, ask):
        override = store(ask["root"]).resolve(self.descriptor, tag=ask["tag"])
        return None if override is None else record_of(override)

    def render(self, ask):
        """What the prompt renders to: with its overrides, or with `bodies` in the place of templates."""
        bodies = ask.get("bodies")
        if bodies is None:
            prompt = Prompt(self.template, overrides_store=store(ask["root"]), overrides_tag=ask["tag"])
        else:
            prompt = Prompt(template(self.spec, bodies))
        rendered = prompt.render()
        patches = {name: dict(texts) for name, texts in rendered.tool_param_descriptions.items()}
        tools = {one.name: one.description for one in rendered.tools}
        return {"text": rendered.text, "tools": tools, "params": patches}

    def section(self, ask):
        path = tuple(ask["path"])
        if FORMAT_VERSION == 1:
            store(ask["root"]).set_section_override(self.template, tag=ask["tag"], path=path, body=ask["body"])
            return
        expected = next(one.content_hash for one in self.descriptor.sections if one.path == path)
        more = {key: ask[key] for key in ["summary", "visibility"] if key in ask}
        override = SectionOverride(path=path, expected_hash=expected, body=ask["body"], **more)
        store(ask["root"]).store(self.descriptor, override, tag=ask["tag"])

    def tool(self, ask):
        expected = next(one.contract_hash for one in self.descriptor.tools if one.name == ask["name"])
        override = ToolOverride(
            name=ask["name"],
            expected_contract_hash=expected,
            description=ask["description"],
            param_descriptions=ask["param_descriptions"],
        )
        there = store(ask["root"])
        if FORMAT_VERSION == 2:
            there.store(self.descriptor, override, tag=ask["tag"])
            return
        old = there.resolve(self.descriptor, tag=ask["tag"])
        names = {"ns": self.descriptor.ns, "prompt_key": self.descriptor.key, "tag": ask["tag"]}
        sections, tools = (dict(old.sections), dict(old.tool_overrides)) if old else ({}, {})
        tools[ask["name"]] = override
        there.upsert(self.descriptor, PromptOverride(**names, sections=sections, tool_overrides=tools))

    def seed(self, ask):
        store(ask["root"]).seed(self.template, tag=ask["tag"])

    def forget(self, ask):
        names = {"ns": self.descriptor.ns, "prompt_key": self.descriptor.key}
        store(ask["root"]).delete(**names, tag=ask["tag"])

    def loop(self, ask):
        """Sets one section again and again: so often as `times` says."""
        for index in range(ask["times"]):
            self.section(ask | {"body": f"{ask['body']}{index}"})

    def json(self, ask):
        """The canonical text of each text that is JSON; null for others."""
        return [canonical(text) for text in ask["texts"]]


def canonical(text):
    try:
        return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None


def main():
    faulthandler.dump_traceback_later(300, exit=True)
    logging.disable(logging.CRITICAL)
    page = pathlib.Path(sys.argv[1]).read_text("utf-8")
    exec(re.search(r"^```python\n(.*?def dump_prompt.*?)^```", page, re.M | re.S)[1], globals())
    judge = Judge()
    for line in sys.stdin.buffer:
        ask = json.loads(line)
        try:
            answer = {"is": getattr(judge, ask["op"])(ask)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        # Half of a surrogate pair is `?` in an answer.
        answer = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.buffer.flush()


main()
