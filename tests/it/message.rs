//! llamafile's messages: its answers byte for byte, and what may be added.

use crate::chat::{golden, with_store};
use crate::sandbox::read_fixture;

#[test]
fn the_answers_are_those_of_the_c_code() {
    let sandbox = golden();
    for chat in 1..=4 {
        let ran = sandbox.run(["message", "list", &chat.to_string(), "-o", "json"]);
        assert_eq!(
            ran.ok(),
            read_fixture(&format!("chats/messages-{chat}.json"))
        );
    }
    for id in 1..=6 {
        let ran = sandbox.run(["message", "show", &id.to_string(), "-o", "json"]);
        assert_eq!(ran.ok(), read_fixture(&format!("chats/message-{id}.json")));
    }
}

/// Random strings and numbers, odd storage classes and equal times, printed by the C code's writer.
#[test]
fn values_that_no_golden_has_are_answered_as_by_the_c_code() {
    let sandbox = with_store("chats/unseen.sqlite3");
    let ran = sandbox.run(["message", "list", "1", "-o", "json"]);
    let expected = String::from_utf8(read_fixture("chats/unseen-messages-1.json")).unwrap();
    assert_eq!(ran.text(), expected);
}

#[test]
fn a_missing_message_or_chat_is_an_empty_answer_and_an_error() {
    let sandbox = golden();
    let ran = sandbox.run(["message", "show", "99", "-o", "json"]);
    assert_eq!(ran.stdout, read_fixture("chats/message-99.json"));
    assert!(ran.failed().ends_with(": no message 99"));
    let ran = sandbox.run(["message", "list", "99", "-o", "json"]);
    assert_eq!(ran.stdout, read_fixture("chats/messages-99.json"));
    assert!(ran.failed().ends_with(": no chat 99"));
    let ran = sandbox.run(["message", "rm", "1", "99"]);
    assert!(ran.failed().ends_with(": no message 99"));
    sandbox.run(["message", "show", "1"]).ok();
}

/// llamafile answers with them too.
#[test]
fn messages_of_a_chat_that_is_gone_are_listed() {
    let sandbox = golden();
    let db = sandbox.db();
    db.execute_batch("PRAGMA foreign_keys=off; DELETE FROM chats WHERE id = 2")
        .unwrap();
    drop(db);
    let ran = sandbox.run(["message", "list", "2", "-o", "json"]);
    assert_eq!(ran.ok(), read_fixture("chats/messages-2.json"));
}

#[test]
fn what_people_see() {
    let sandbox = golden();
    insta::assert_snapshot!(sandbox.run(["message", "list", "1"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    id  written              role       content
     2  2025-04-02 11:01:00  user       Why is the sky blue?
     3  2025-04-02 11:01:00  assistant  Rayleigh scattering.
     1  2025-04-02 11:00:00  system     You are a helpful assistant.
    --- stderr
    ");
    insta::assert_snapshot!(sandbox.run(["message", "list", "3"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    --- stderr
    localstore: chat 3 has no messages
    ");
    insta::assert_snapshot!(sandbox.run(["message", "show", "3"]).snapshot(&sandbox), @r#"
    exit 0
    --- stdout
    chat 1, temperature 0.7, top_p 0.9, presence_penalty 0.1, frequency_penalty -0.25

    --- assistant, message 3, 2025-04-02 11:01:00
    Rayleigh scattering.
    It favours <short> wavelengths & "blue".
    --- stderr
    "#);
    insta::assert_snapshot!(
        sandbox.run(["message", "rm", "4", "2", "--dry-run"]).snapshot(&sandbox),
        @r"
    exit 0
    --- stdout
    would remove message 4 of chat 2, user: tab\tand back\slash / slash
    would remove message 2 of chat 1, user: Why is the sky blue?
    --- stderr
    "
    );
}

#[test]
fn a_message_is_added_as_it_comes() {
    let sandbox = golden();
    let add = |content: &str| sandbox.run(["message", "add", "3", "user", content]);
    assert_eq!(
        add("hi \u{1b}[1m").text(),
        "message 7 of chat 3, user: hi \\x1b[1m\n"
    );
    assert_eq!(add("").text(), "message 8 of chat 3, user: \n");
    let text = "line\r\n中文 \t😀\n\n";
    for args in [
        &["message", "add", "3", "assistant", "-"][..],
        &["message", "add", "3", "assistant"],
    ] {
        let ran = sandbox.run_with_input(args, text.as_bytes());
        ran.ok();
    }
    let options = [
        "message",
        "add",
        "3",
        "tool",
        "x",
        "--temperature",
        "1e-7",
        "--top_p",
        "0.25",
        "--presence-penalty",
        "-0.5",
        "--frequency-penalty=2",
        "-o",
        "json",
    ];
    let json: serde_json::Value = serde_json::from_slice(&sandbox.run(options).ok()).unwrap();
    assert_eq!(json["temperature"], 1e-7);
    assert_eq!(json["top_p"], 0.25);
    assert_eq!(json["presence_penalty"], -0.5);
    assert_eq!(json["frequency_penalty"], 2);
    let stored: Vec<(String, f64, f64)> = sandbox
        .db()
        .prepare("SELECT content, temperature, top_p FROM messages WHERE id IN (9, 10)")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let expected = (text.to_owned(), 0.8, 0.95);
    assert_eq!(stored, [expected.clone(), expected]);

    assert_eq!(
        sandbox.run(["message", "rm", "-y", "7", "8"]).text(),
        "removed message 7 of chat 3, user: hi \\x1b[1m\nremoved message 8 of chat 3, user: \n"
    );
    assert!(
        sandbox
            .run(["message", "show", "7"])
            .failed()
            .ends_with(": no message 7")
    );
}

#[test]
fn what_would_spoil_a_chat_is_refused() {
    let sandbox = golden();
    let cases = [
        (&["message", "add", "99", "user", "x"][..], "no chat 99"),
        (
            &["message", "add", "1", "wizard", "x"],
            "invalid parameter for: wizard",
        ),
        (
            &["message", "add", "1", "User", "x"],
            "invalid parameter for: User",
        ),
        (
            &["message", "add", "one", "user", "x"],
            "invalid parameter for: one",
        ),
        (
            &["message", "add", "1", "user", "x", "--temperature", "nan"],
            "invalid parameter for: --temperature",
        ),
        (
            &["message", "add", "1", "user", "x", "--top-p", "1e999"],
            "invalid parameter for: --top-p",
        ),
    ];
    for (args, why) in cases {
        let said = sandbox.run(args).failed();
        assert!(said.ends_with(why), "{args:?}: {said}");
    }
    for bad in [&b"a\xffb"[..], b"a\0b"] {
        let ran = sandbox.run_with_input(["message", "add", "1", "user"], bad);
        assert!(ran.failed().starts_with("standard input: "));
    }
    let count: i64 = sandbox
        .db()
        .query_row("SELECT count(*) FROM messages", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 6);
}

#[test]
fn a_content_reaches_no_terminal_raw_through_a_pipe_either() {
    let sandbox = golden();
    let content = "\u{1b}[2Jred\u{7}\u{202e}\r\na\tb\rc";
    sandbox
        .run_with_input(["message", "add", "3", "user"], content.as_bytes())
        .ok();
    for command in [["chat", "show", "3"], ["message", "show", "7"]] {
        let text = sandbox.run(command).text();
        let shown = "\n\\x1b[2Jred\\x07\\u{202e}\na\tb\\rc\n";
        assert!(text.ends_with(shown), "{text:?}");
    }
    let json = sandbox.run(["message", "show", "7", "-o", "json"]).ok();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["content"], content);
}
