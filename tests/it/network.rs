//! `submit` over TLS and through proxies.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::sandbox::{Ran, Sandbox};
use crate::sending::sandbox;
use crate::server::{Certificate, Proxy, Reply, Server};
use crate::submit::states;

const RUN: &str = "golden/gpu-reps4.json";

/// Writes the certificate of the authority to a file.
fn write_authority(certificate: &Certificate, sandbox: &Sandbox) -> PathBuf {
    sandbox.file("authority.pem", &certificate.authority)
}

/// Runs `submit -y` with variables in its environment.
fn with(sandbox: &Sandbox, url: &str, variables: &[(&str, &OsStr)]) -> Ran {
    let mut command = sandbox.command(["submit", "-y", "--url", url]);
    command.envs(variables.iter().copied());
    Ran::from(command.output().unwrap())
}

#[test]
fn https_needs_a_certificate_that_is_trusted_and_of_that_host() {
    let sandbox = sandbox(&[RUN]);
    let [ours, others] = ["localhost", "example.org"].map(Certificate::of);
    for (certificate, trusted) in [(&ours, false), (&others, true)] {
        let server = Server::start_tls([Reply::taken(1)], certificate);
        let authority = write_authority(certificate, &sandbox);
        let variables = [("SSL_CERT_FILE", authority.as_os_str())];
        let variables = if trusted { &variables[..] } else { &[] };
        let ran = with(&sandbox, &server.url(), variables);
        assert_eq!(ran.code, Some(1));
        let told = "run 1: queued: no trusted connection to localhost: \
                    invalid peer certificate: ";
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(server.requests().is_empty());
        assert_eq!(states(&sandbox), ["pending"]);
    }
    let server = Server::start_tls([Reply::taken(77)], &ours);
    let authority = write_authority(&ours, &sandbox);
    let ran = with(
        &sandbox,
        &server.url(),
        &[("SSL_CERT_FILE", authority.as_os_str())],
    );
    assert_eq!(
        String::from_utf8(ran.ok()).unwrap(),
        format!("run 1: submitted: {}/result/77\n", server.url())
    );
}

#[test]
fn an_https_connection_that_is_cut_off_is_unknown() {
    let sandbox = sandbox(&[RUN]);
    let certificate = Certificate::of("localhost");
    let authority = write_authority(&certificate, &sandbox);
    let server = Server::start_tls([Reply::Reset], &certificate);
    with(
        &sandbox,
        &server.url(),
        &[("SSL_CERT_FILE", authority.as_os_str())],
    );
    assert_eq!(states(&sandbox), ["unknown"]);
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    let sandbox = sandbox(&[RUN, "golden/second-gpu.json", "golden/cpu-i7-14b.json"]);
    let certificate = Certificate::of("localhost");
    let authority = write_authority(&certificate, &sandbox);
    let server = Server::start_tls((1..4).map(Reply::taken), &certificate);
    let proxy = Proxy::start();
    let proxy_url = proxy.url();
    let submit = |run: &str, name: &str, excepted: &str| {
        let mut command = sandbox.command(["submit", "-y", "--url", &server.url(), run]);
        command
            .env("SSL_CERT_FILE", &authority)
            .env(name, &proxy_url)
            .env("NO_PROXY", excepted);
        Ran::from(command.output().unwrap())
    };
    let target = server.url().replace("https://", "CONNECT ") + " HTTP/1.1";
    submit("1", "HTTPS_PROXY", "example.org").ok();
    assert_eq!(proxy.asked(), [target.as_str()]);
    submit("2", "all_proxy", "").ok();
    assert_eq!(proxy.asked().len(), 2);
    submit("3", "HTTPS_PROXY", "localhost").ok();
    assert_eq!(proxy.asked().len(), 2);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_proxy_that_is_no_address_is_an_error_that_hides_its_password() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken(1)]);
    let proxy = OsStr::new("ftp://user:secret@host");
    let ran = with(&sandbox, &server.url(), &[("HTTP_PROXY", proxy)]);
    // Windows does not tell the case of a variable's name.
    let message = ran.failed().replace("http_proxy", "HTTP_PROXY");
    assert_eq!(message, "HTTP_PROXY: invalid proxy address");
    assert!(!ran.stderr.contains("secret"));
    assert!(server.requests().is_empty());
    assert_eq!(states(&sandbox), ["never"]);
}

/// A site that has no address: only a proxy could reach it.
const UNREACHABLE: &str = "http://site.invalid";

#[test]
fn a_proxy_that_refuses_is_asked_once_and_the_run_is_queued() {
    for status in [401, 403, 407] {
        let sandbox = sandbox(&[RUN]);
        let proxy = Proxy::refusing(status);
        let url = proxy.url();
        let variable = ("http_proxy", OsStr::new(&url));
        let ran = with(&sandbox, UNREACHABLE, &[variable]);
        assert_eq!(ran.code, Some(1));
        let address = url.replace("http://", "");
        let message = format!("run 1: queued: the proxy {address} answered {status}\n");
        assert!(ran.stderr.contains(&message), "{}", ran.stderr);
        assert_eq!(proxy.asked().len(), 1, "{status}");
        assert_eq!(states(&sandbox), ["pending"]);
    }
}

#[test]
fn a_proxy_that_reaches_no_site_is_asked_three_times() {
    let sandbox = sandbox(&[RUN]);
    let proxy = Proxy::refusing(502);
    let url = proxy.url();
    let ran = with(&sandbox, UNREACHABLE, &[("http_proxy", OsStr::new(&url))]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(" answered 502\n"), "{}", ran.stderr);
    assert_eq!(proxy.asked().len(), 3);
    assert_eq!(states(&sandbox), ["pending"]);
}
