//! The proxy that the environment asks for.

/// The variable that names the proxy for an address, and its value; `None` for no proxy.
///
/// As in curl, it is the variable of the scheme or else `ALL_PROXY`, in lower or upper case. There is
/// no proxy for the hosts in `NO_PROXY` and their subdomains.
pub(crate) fn choose(
    scheme: &str,
    host: &str,
    port: u16,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(String, String)> {
    let look_up = |name: &str| {
        let names = [name.to_owned(), name.to_uppercase()].into_iter();
        let mut values = names.filter_map(|name| Some((variable(&name)?.trim().to_owned(), name)));
        let (value, name) = values.find(|(value, _)| !value.is_empty())?;
        Some((name, value))
    };
    let found = look_up(&format!("{scheme}_proxy")).or_else(|| look_up("all_proxy"))?;
    let excepted = look_up("no_proxy").is_some_and(|(_, list)| is_excepted(&list, host, port));
    (!excepted).then_some(found)
}

fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let bare = |text: &str| text.trim_matches(['[', ']']).to_lowercase();
    let host = bare(host);
    let mut entries = list.split([',', ' ']).filter(|entry| !entry.is_empty());
    entries.any(|entry| {
        let with_port = entry.rsplit_once(':').filter(|(name, port)| {
            !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && (name.ends_with(']') || !name.contains(':'))
        });
        let name = match with_port {
            Some((name, wanted)) if wanted.parse() == Ok(port) => name,
            Some(_) => return false,
            None => entry,
        };
        let name = bare(name.trim_start_matches("*.").trim_start_matches('.'));
        let below = host
            .strip_suffix(&name)
            .is_some_and(|rest| rest.ends_with('.'));
        name == "*" || host == name || (below && !name.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(scheme: &str, host: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        choose(scheme, host, 443, variable).map(|(_, value)| value)
    }

    #[test]
    fn the_scheme_decides_which_variable_counts() {
        let all = [
            ("HTTP_PROXY", "a"),
            ("HTTPS_PROXY", "b"),
            ("ALL_PROXY", "c"),
        ];
        assert_eq!(chosen("http", "x.org", &all).as_deref(), Some("a"));
        assert_eq!(chosen("https", "x.org", &all).as_deref(), Some("b"));
        assert_eq!(chosen("https", "x.org", &all[2..]).as_deref(), Some("c"));
        assert_eq!(chosen("https", "x.org", &all[..1]), None);
        let both = [("https_proxy", " small "), ("HTTPS_PROXY", "large")];
        assert_eq!(chosen("https", "x.org", &both).as_deref(), Some("small"));
        let empty = [("https_proxy", ""), ("ALL_PROXY", "")];
        assert_eq!(chosen("https", "x.org", &empty), None);
    }

    #[test]
    fn the_hosts_of_no_proxy_are_reached_directly() {
        let direct = |list: &str, host: &str| {
            let variables = [("ALL_PROXY", "p"), ("NO_PROXY", list)];
            chosen("https", host, &variables).is_none()
        };
        for list in [
            "localscore.ai",
            ".localscore.ai",
            "*.localscore.ai",
            "other, WWW.localscore.ai",
            "localscore.ai:443",
            "*",
        ] {
            assert!(direct(list, "www.localscore.ai"), "{list}");
        }
        for list in [
            "",
            ",",
            "score.ai",
            "www",
            "localscore.ai:80",
            ".",
            "ww.localscore.ai",
        ] {
            assert!(!direct(list, "www.localscore.ai"), "{list}");
        }
        assert!(direct("::1", "[::1]") && direct("[::1]:443", "[::1]"));
        assert!(direct("127.0.0.1", "127.0.0.1"));
    }
}
