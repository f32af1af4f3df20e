//! The real weakincentives as judge, on random prompts: it must read and render what we write, and we
//! must read what it writes; and of files that are damaged both say the same.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Project;
use super::judge::Judge;
use crate::random::{Random, seed};
use crate::torture::rounds;

/// A prompt of a random shape, in the words of `judge.py`.
fn prompt(random: &mut Random, format: u8) -> Value {
    let mut shape = Shape {
        random,
        tools: Vec::new(),
    };
    // Since format 2 a namespace has one part.
    let namespaces = ["demo", "a.b-c_1", "0", "demo / web", "a//b/"];
    let ns = namespaces[shape.random.below(if format == 1 { 5 } else { 3 })];
    let count = 1 + shape.random.below(3);
    let sections = shape.sections(count, 0);
    json!({"ns": ns, "prompt_key": "welcome", "sections": sections})
}

struct Shape<'a> {
    random: &'a mut Random,
    tools: Vec<&'static str>,
}

impl Shape<'_> {
    fn sections(&mut self, count: usize, depth: usize) -> Vec<Value> {
        let keys = ["system", "guide", "0", "a.b", "c_d-e"];
        let keys = keys.iter().take(count);
        keys.map(|key| {
            let params = &["name", "city"][..self.random.below(3)];
            let below = if depth < 3 { self.random.below(3) } else { 0 };
            json!({
                "key": key,
                "body": text(self.random, params),
                "params": params,
                "tools": self.tool(),
                "sections": self.sections(below, depth + 1),
            })
        })
        .collect()
    }

    fn tool(&mut self) -> Vec<Value> {
        let names = ["search", "fetch", "t-1"];
        let Some(name) = names
            .get(self.tools.len())
            .filter(|_| self.random.below(3) == 0)
        else {
            return Vec::new();
        };
        self.tools.push(name);
        let mut params = Map::new();
        for param in ["query", "limit"].iter().take(self.random.below(3)) {
            let told = [json!(null), json!("Words."), json!("Größe \"x\"\n")];
            params.insert((*param).to_owned(), told[self.random.below(3)].clone());
        }
        vec![json!({"name": name, "description": format!("What {name} does."), "params": params})]
    }
}

/// A template or a body that renders with these parameters.
fn text(random: &mut Random, params: &[&str]) -> String {
    const PIECES: &[&str] = &[
        "Hi",
        " you",
        "\n",
        "\r\n",
        "\t",
        "  ",
        "Grüße, 你好 😀",
        "\u{7f}",
        "\u{0}",
        "\u{2028}",
        "\"quoted\" \\ back",
        "$$5",
        "{braces} </s>",
        "\u{feff}",
        "\u{85}",
        "e\u{301}",
        "\u{10ffff}",
    ];
    let mut text = String::new();
    for _ in 0..random.below(12) {
        match random.below(6) {
            0 if !params.is_empty() => {
                let name = params[random.below(params.len())];
                text.extend(["${", name, "}"]);
            }
            _ => text += PIECES[random.below(PIECES.len())],
        }
    }
    text
}

/// A prompt in a project, and the library that is asked about it.
struct Scene<'a> {
    judge: &'a mut Judge,
    project: Project,
    /// `NS/KEY`, as it is typed.
    name: String,
    document: Value,
}

impl<'a> Scene<'a> {
    fn new(judge: &'a mut Judge, prompt: &Value) -> Self {
        let mut scene = Self {
            judge,
            project: Project::new(),
            name: String::new(),
            document: Value::Null,
        };
        scene.change(prompt);
        scene
    }

    /// The code changes: this is the prompt from now on.
    fn change(&mut self, prompt: &Value) {
        let made = self.judge.make(prompt);
        let text = made["document"].as_str().unwrap();
        self.document = serde_json::from_str(text).unwrap();
        self.project
            .write(".weakincentives/prompts/prompts.jsonl", text);
        let ns = self.document["ns"].as_str().unwrap().split('/');
        let ns: Vec<&str> = ns.map(str::trim).filter(|part| !part.is_empty()).collect();
        self.name = format!("{}/welcome", ns.join("/"));
        assert_document(&self.document, &made);
    }

    fn sections(&self) -> Vec<Value> {
        self.document["sections"].as_array().unwrap().clone()
    }

    fn tools(&self) -> Vec<Value> {
        self.document["tools"].as_array().unwrap().clone()
    }

    /// The file of a tag.
    fn file(&self, tag: &str) -> std::path::PathBuf {
        self.project.record(&format!("{}/{tag}", self.name))
    }

    fn bytes(&self, tag: &str) -> Vec<u8> {
        std::fs::read(self.file(tag)).unwrap()
    }

    /// A question about a tag of this project.
    fn question(&self, op: &str, tag: &str) -> Value {
        json!({"op": op, "root": self.project.root(), "tag": tag})
    }

    /// What we say applies: an error, or a record or null.
    fn ours(&self, tag: &str) -> Result<Value, String> {
        let ran = self.project.run(&format!("resolve {}@{tag}", self.name));
        match ran.code {
            Some(0) => Ok(serde_json::from_slice(&ran.stdout).unwrap()),
            _ => Err(ran.failed()),
        }
    }

    /// Both say the same, and it is an override, null or an error.
    #[track_caller]
    fn assert_same(&mut self, tag: &str, what: &str) -> Result<Value, String> {
        let theirs = self.judge.ask(&self.question("resolve", tag));
        let ours = self.ours(tag);
        let context = || {
            let file = std::fs::read(self.file(tag)).unwrap_or_default();
            let file = String::from_utf8_lossy(&file).into_owned();
            format!("{what}\nours: {ours:?}\ntheirs: {theirs:?}\n{file}")
        };
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{}", context()),
            (Err(_), Err(_)) => {}
            _ => panic!("{}", context()),
        }
        ours
    }

    /// The override renders to what the prompt renders to that has the texts as its own.
    #[track_caller]
    fn assert_renders(&mut self, tag: &str) {
        let record = self.assert_same(tag, "render").unwrap();
        let mut bodies = Map::new();
        for section in self.sections() {
            let path = path_of(&section);
            let line = format!("resolve {}@{tag} --section {path}", self.name);
            let ran = self.project.run(&line);
            let body = String::from_utf8(ran.ok()).unwrap();
            bodies.insert(path, json!(body));
        }
        let with = self.judge.ask(&self.question("render", tag)).unwrap();
        let plain = json!({"op": "render", "bodies": bodies});
        let plain = self.judge.ask(&plain).unwrap();
        assert_eq!(with["text"], plain["text"]);
        for tool in self.tools() {
            let name = tool["name"].as_str().unwrap();
            let entry = &record["tools"][name];
            let description = entry["description"].as_str();
            let expected =
                description.map_or(plain["tools"][name].clone(), |text| json!(text.trim()));
            assert_eq!(with["tools"][name], expected);
            let patches = entry["param_descriptions"].as_object();
            if let Some(patches) = patches.filter(|patches| !patches.is_empty()) {
                assert_eq!(with["params"][name], json!(patches));
            }
        }
        self.project.run(&format!("check {}@{tag}", self.name)).ok();
    }

    fn set_section(&self, tag: &str, section: &Value, body: &str) {
        let path = path_of(section);
        let line = format!("set {}@{tag} --section {path} -", self.name);
        self.project.run_with_input(&line, body.as_bytes()).ok();
    }

    fn set_tool(&self, tag: &str, name: &str, texts: &Value) {
        let line = format!("set {}@{tag} --tool {name} -", self.name);
        let texts = texts.to_string();
        self.project.run_with_input(&line, texts.as_bytes()).ok();
    }

    /// We and the library write the same, each under its own tag. What is there must be the same then.
    fn write(&mut self, random: &mut Random) {
        if random.below(2) == 0 {
            self.project.run(&format!("seed {}@ours", self.name)).ok();
            self.judge.ask(&self.question("seed", "theirs")).unwrap();
            self.assert_same_files();
        }
        for section in self.sections() {
            if random.below(3) == 0 {
                continue;
            }
            let params = strings(&section["params"]);
            let params: Vec<&str> = params.iter().map(String::as_str).collect();
            let body = text(random, &params);
            self.set_section("ours", &section, &body);
            let mut question = self.question("section", "theirs");
            question["path"] = section["path"].clone();
            question["body"] = json!(body);
            self.judge.ask(&question).unwrap();
            self.assert_same_files();
        }
        for tool in self.tools() {
            let name = tool["name"].as_str().unwrap();
            let description = [json!("Anew."), json!(null), json!(" With spaces ")];
            let texts = json!({
                "description": description[random.below(3)],
                "param_descriptions": {"query": text(random, &[])},
            });
            self.set_tool("ours", name, &texts);
            let mut question = self.question("tool", "theirs");
            question["name"] = json!(name);
            question["description"] = texts["description"].clone();
            question["param_descriptions"] = texts["param_descriptions"].clone();
            self.judge.ask(&question).unwrap();
            self.assert_same_files();
        }
        if !self.file("ours").exists() {
            let section = &self.sections()[0];
            self.set_section("ours", section, "");
            let mut question = self.question("section", "theirs");
            question["path"] = section["path"].clone();
            question["body"] = json!("");
            self.judge.ask(&question).unwrap();
        }
    }

    #[track_caller]
    fn assert_same_files(&self) {
        let [ours, theirs] = ["ours", "theirs"].map(|tag| {
            let text = String::from_utf8(self.bytes(tag)).unwrap();
            text.replace(&format!("\"tag\": \"{tag}\""), "\"tag\": \"\"")
        });
        assert_eq!(ours, theirs);
    }

    /// To set a text that is there changes no byte of a file of the library.
    fn assert_untouched(&self) {
        let before = self.bytes("theirs");
        let record: Value = serde_json::from_slice(&before).unwrap();
        for section in self.sections() {
            if let Some(body) = record["sections"][path_of(&section)]["body"].as_str() {
                self.set_section("theirs", &section, body);
                assert!(self.bytes("theirs") == before);
            }
        }
        for tool in self.tools() {
            let name = tool["name"].as_str().unwrap();
            if let Value::Object(entry) = &record["tools"][name] {
                self.set_tool("theirs", name, &json!(entry));
                assert!(self.bytes("theirs") == before);
            }
        }
    }
}

fn path_of(section: &Value) -> String {
    strings(&section["path"]).join("/")
}

fn strings(values: &Value) -> Vec<String> {
    let values = values.as_array().unwrap().iter();
    values
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

/// The document of `dump_prompt` has the paths, names and hashes of the library's descriptor.
#[track_caller]
fn assert_document(document: &Value, made: &Value) {
    let pairs = |list: &Value, [name, hash]: [&str; 2]| -> Vec<Value> {
        let list = list.as_array().unwrap().iter();
        list.map(|entry| json!([entry[name], entry[hash]]))
            .collect()
    };
    let told = |list: &Value| -> Vec<Value> {
        let list = list.as_array().unwrap().iter();
        list.map(|entry| json!([entry[0], entry[1]])).collect()
    };
    let sections = pairs(&document["sections"], ["path", "content_hash"]);
    assert_eq!(sections, told(&made["sections"]));
    let tools = pairs(&document["tools"], ["name", "contract_hash"]);
    assert_eq!(tools, told(&made["tools"]));
}

#[test]
fn what_either_writes_the_other_reads_and_renders() {
    let Some(mut judges) = Judge::both() else {
        return;
    };
    for judge in &mut judges {
        for round in 0..rounds(3) {
            let mut random = Random::new(seed(), round as u64);
            let prompt = prompt(&mut random, judge.format);
            let mut scene = Scene::new(judge, &prompt);
            scene.assert_same("ours", "not there").unwrap();
            scene.write(&mut random);
            scene.assert_renders("ours");
            scene.assert_renders("theirs");
            scene.assert_untouched();
        }
    }
}

#[test]
fn what_is_copied_and_accepted_the_library_reads() {
    let Some(mut judges) = Judge::both() else {
        return;
    };
    for judge in &mut judges {
        for round in 0..rounds(2) {
            let mut random = Random::new(seed(), 1000 + round as u64);
            let mut prompt = prompt(&mut random, judge.format);
            let mut scene = Scene::new(judge, &prompt);
            scene.write(&mut random);
            let name = scene.name.clone();
            scene.project.run(&format!("copy {name}@ours @copied")).ok();
            scene.assert_renders("copied");
            // The code changes: the override of the first section is stale, and a tool's too.
            let first = &mut prompt["sections"][0];
            let body = first["body"].as_str().unwrap();
            first["body"] = json!(format!("{body} changed"));
            if let Some(tool) = first["tools"].get_mut(0) {
                tool["description"] = json!("Changed.");
            }
            scene.change(&prompt);
            let path = path_of(&scene.sections()[0]);
            let entries = |record: &Value| record["sections"].get(&path).is_some();
            let stale = scene.assert_same("copied", "stale").unwrap();
            assert!(!entries(&stale));
            let was_there = entries(&serde_json::from_slice(&scene.bytes("copied")).unwrap());
            scene
                .project
                .run(&format!("accept {name}@copied --all"))
                .ok();
            let accepted = scene.assert_same("copied", "accepted").unwrap();
            assert_eq!(entries(&accepted), was_there);
            scene.assert_renders("copied");
            scene.project.run(&format!("rm -y {name}@copied")).ok();
            assert_eq!(scene.assert_same("copied", "gone"), Ok(Value::Null));
        }
    }
}

#[test]
fn what_is_converted_the_other_library_reads() {
    let Some([mut one, mut two]) = Judge::both() else {
        return;
    };
    for round in 0..rounds(2) {
        let mut random = Random::new(seed(), 2000 + round as u64);
        // Prompts that both versions can have.
        let prompt = prompt(&mut random, 2);
        let (judge, other) = match round % 2 {
            0 => (&mut one, &mut two),
            _ => (&mut two, &mut one),
        };
        let mut scene = Scene::new(judge, &prompt);
        scene.write(&mut random);
        let before = scene.bytes("theirs");
        let (from, to) = (scene.judge.format, other.format);
        scene.project.run(&format!("convert --to {to}")).ok();
        let Scene { project, .. } = scene;
        let made = other.make(&prompt);
        let mut scene = Scene {
            judge: &mut *other,
            project,
            name: scene.name,
            document: serde_json::from_str(made["document"].as_str().unwrap()).unwrap(),
        };
        let text = made["document"].as_str().unwrap();
        scene
            .project
            .write(".weakincentives/prompts/prompts.jsonl", text);
        scene.assert_renders("ours");
        scene.assert_renders("theirs");
        scene.project.run(&format!("convert --to {from}")).ok();
        assert!(scene.bytes("theirs") == before, "there and back");
    }
}

#[test]
fn of_damaged_files_both_say_the_same() {
    let Some(mut judges) = Judge::both() else {
        return;
    };
    for judge in &mut judges {
        let format = judge.format;
        let mut random = Random::new(seed(), 3000);
        let mut scene = Scene::new(judge, &rich_prompt());
        let name = scene.name.clone();
        scene.project.run(&format!("seed {name}@x")).ok();
        let file = scene.file("x");
        let mut record: Value = serde_json::from_slice(&scene.bytes("x")).unwrap();
        record["sections"]["guide"]["expected_hash"] = json!("0".repeat(64));
        record["sections"]["elsewhere"] = record["sections"]["guide"].clone();
        record["sections"]["/system//intro/"] = record["sections"]["system/intro"].clone();
        record["tools"]["gone"] = record["tools"]["search"].clone();
        record["more"] = json!({"number": 1.5});
        if format == 2 {
            record["sections"]["system"]["summary"] = json!("S");
            record["sections"]["system"]["visibility"] = json!("summary");
            record["task_example_overrides"] = json!([{
                "path": ["guide", "example-0"], "index": 0, "expected_hash": "0".repeat(64),
                "action": "modify", "objective": "o", "outcome": "u", "steps_to_remove": [1, true, "x"],
                "step_overrides": [{"index": 0, "tool_name": "search", "input_json": "{}"}],
                "steps_to_append": [{"index": -1, "description": "n", "output_json": null}],
            }]);
        }
        scene.project.write(&file, record.to_string());
        assert!(scene.assert_same("x", "whole").unwrap().is_object());
        let verdicts = |scene: &mut Scene<'_>, bytes: &[u8], what: &str| -> usize {
            scene.project.write(&file, bytes);
            match scene.assert_same("x", what) {
                Ok(Value::Null) => 0,
                Ok(_) => 1,
                Err(_) => 2,
            }
        };
        let mut counts = [0; 3];
        // One value in another's place.
        let pointers = pointers(&record);
        for _ in 0..rounds(100) {
            let pointer = &pointers[random.below(pointers.len())];
            let mut record = record.clone();
            let what = damage(&mut record, pointer, &mut random);
            counts[verdicts(&mut scene, record.to_string().as_bytes(), &what)] += 1;
        }
        // Nothing that applies.
        for key in ["sections", "tools", "task_example_overrides"] {
            record.as_object_mut().unwrap().remove(key);
            counts[verdicts(&mut scene, record.to_string().as_bytes(), key)] += 1;
        }
        assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
        // Texts that are no JSON, or JSON of an unusual look.
        std::fs::remove_file(&file).unwrap();
        scene.project.run(&format!("seed {name}@x")).ok();
        let text = String::from_utf8(scene.bytes("x")).unwrap();
        for (what, bytes) in texts(&text) {
            let verdict = verdicts(&mut scene, &bytes, what);
            let is_malformed = !what.starts_with("fine: ");
            assert_eq!(verdict == 2, is_malformed, "{what}");
        }
        // What we refuse on purpose, and the library passes on.
        for (what, from, to) in [
            ("half a pair", "Be kind.", "\\ud83d"),
            ("the other half", "Be kind.", "\\ude00 x"),
            ("no number", "\"version\"", "\"more\": NaN, \"version\""),
            (
                "infinite",
                "\"version\"",
                "\"more\": [-Infinity], \"version\"",
            ),
        ] {
            assert!(text.contains(from));
            scene.project.write(&file, text.replace(from, to));
            let theirs = scene.judge.ask(&scene.question("resolve", "x"));
            assert!(theirs.unwrap().is_object(), "{what}");
            assert!(scene.ours("x").is_err(), "{what}");
        }
        // 128 deep is read by both, and 129 by the library alone: the record is one of the levels.
        for (depth, is_fine) in [(127, true), (128, false), (400, false)] {
            let deep = format!("\"more\": {}{}, ", "[".repeat(depth), "]".repeat(depth));
            let text = text.replacen("\"ns\"", &format!("{deep}\"ns\""), 1);
            scene.project.write(&file, text);
            let theirs = scene.judge.ask(&scene.question("resolve", "x"));
            assert!(theirs.unwrap().is_object(), "{depth}");
            assert_eq!(scene.ours("x").is_ok(), is_fine, "{depth}");
        }
    }
}

fn rich_prompt() -> Value {
    let section = |key: &str, body: &str, tools: Value, sections: Value| json!({"key": key, "body": body, "params": [], "tools": tools, "sections": sections});
    let tool = |name: &str, params: Value| json!({"name": name, "description": "It does.", "params": params});
    let intro = section("intro", "Be kind.", json!([]), json!([]));
    let tools = json!([
        tool("search", json!({"query": "Words."})),
        tool("fetch", json!({}))
    ]);
    let sections = json!([
        section("system", "Hello.\n", tools, json!([intro])),
        section("guide", "Grüße 😀", json!([]), json!([])),
    ]);
    json!({"ns": "demo", "prompt_key": "welcome", "sections": sections})
}

/// The places of all values of a record, as JSON pointers; not the ones within foreign fields.
fn pointers(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(value, &format!("{at}/{key}"), all);
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    walk(value, &format!("{at}/{index}"), all);
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk(value, "", &mut all);
    all
}

/// Puts another value at this place, or removes what is there. Tells what it did.
fn damage(record: &mut Value, pointer: &str, random: &mut Random) -> String {
    let (above, key) = pointer.rsplit_once('/').unwrap_or_default();
    if random.below(5) == 0
        && let Some(Value::Object(members)) = record.pointer_mut(above)
    {
        members.remove(&key.replace("~1", "/"));
        return format!("{pointer} removed");
    }
    let hash = "a".repeat(64);
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(2),
        json!(1.0),
        json!(2.0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("full"),
        json!("summary"),
        json!("append"),
        json!(" latest"),
        json!(hash),
        json!(hash.to_uppercase()),
        json!(format!("{hash}\n")),
        json!(hash[1..]),
        json!([]),
        json!([1]),
        json!({}),
        json!({"x": 1}),
        json!({"x": "y"}),
        json!([[]]),
        json!([["it's", "\"it's\"\n", null, true, 1.5]]),
        json!([{}]),
        json!({"x": {}}),
        json!({"system": {}}),
        json!({"search": {}}),
        json!({"guide": {"expected_hash": hash, "body": 1}}),
    ];
    let value = &values[random.below(values.len())];
    *record.pointer_mut(pointer).unwrap() = value.clone();
    format!("{pointer} is {value}")
}

/// What may be wrong with the text of a file, or only look so.
fn texts(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let json = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let version = |to: &str| {
        let start = text.find("\"version\": ").unwrap() + 11;
        format!("{}{to}{}", &text[..start], &text[start + 1..]).into_bytes()
    };
    let is_one = text.contains("\"version\": 1");
    let own = |text: &str| text.replacen('1', if is_one { "1" } else { "2" }, 1);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("empty", Vec::new()),
        ("blank", b" \n".to_vec()),
        ("cut off", text.as_bytes()[..text.len() / 2].to_vec()),
        ("more behind it", format!("{text}{{}}").into_bytes()),
        ("a byte order mark", format!("\u{feff}{text}").into_bytes()),
        (
            "not UTF-8",
            [b"{\"more\": \"\xff\", ", &text.as_bytes()[1..]].concat(),
        ),
        (
            "half of a sequence",
            [b"{\"more\": \"\xf0\x9f\x98\", ", &text.as_bytes()[1..]].concat(),
        ),
        (
            "encoded surrogate",
            [b"{\"more\": \"\xed\xa0\x80\", ", &text.as_bytes()[1..]].concat(),
        ),
        ("UTF-16", utf16(text)),
        ("an array", format!("[{text}]").into_bytes()),
        ("a string", b"\"x\"".to_vec()),
        ("null", b"null".to_vec()),
        ("a number", b"1".to_vec()),
        ("a comma too many", json("\n}\n", ",\n}\n")),
        ("a comment", json("\"ns\"", "// x\n\"ns\"")),
        ("single quotes", json("\"ns\"", "'ns'")),
        ("a bare name", json("\"ns\"", "ns")),
        ("a raw newline", json("Be kind.", "Be\nkind.")),
        ("a raw NUL", json("Be kind.", "Be\u{0}kind.")),
        ("a wrong escape", json("Be kind.", "\\x41")),
        ("a short escape", json("Be kind.", "\\u12")),
        ("a form feed", json("\"ns\"", "\u{c}\"ns\"")),
        ("a space of Unicode", json("\"ns\"", "\u{a0}\"ns\"")),
        ("a zero in front", version(&own("01"))),
        ("a plus", version(&own("+1"))),
        ("no digits behind the point", version(&own("1."))),
        ("no digits before the point", version(".1")),
        ("hexadecimal", version("0x1")),
        ("a version too high", version("3")),
        ("a version as text", version(&own("\"1\""))),
        ("a version of null", version("null")),
        ("a version that is near", version(&own("1.0000001"))),
        ("fine: a version of 1.0", version(&own("1.0"))),
        ("fine: a version of 1e0", version(&own("1e0"))),
        ("fine: a version of 10E-1", version(&own("10E-1"))),
        (
            "fine: rounded to the version",
            version(&own("1.00000000000000000000001")),
        ),
        (if is_one { "fine: true" } else { "true" }, version("true")),
        ("fine: CRLF", text.replace('\n', "\r\n").into_bytes()),
        ("fine: one line", text.replace('\n', " ").into_bytes()),
        (
            "fine: no newline at the end",
            text.trim_end().as_bytes().to_vec(),
        ),
        ("fine: DEL", json("Be kind.", "Be\u{7f}kind.")),
        ("fine: raw UTF-8", json("Be kind.", "Sei nett, 😀\u{2028}")),
        (
            "fine: escapes",
            json("Be kind.", "\\/\\u0041\\uD83D\\uDE00\\b"),
        ),
        (
            "fine: an infinite number",
            json("\"ns\"", "\"more\": 1e400, \"ns\""),
        ),
        (
            "fine: a long number",
            json("\"ns\"", &format!("\"more\": {}, \"ns\"", "7".repeat(4000))),
        ),
        (
            "fine: a doubled key, the last is right",
            json("\"ns\"", "\"ns\": 5, \"ns\""),
        ),
        (
            "a doubled key, the last is wrong",
            json("\"prompt_key\"", "\"ns\": 5, \"prompt_key\""),
        ),
        (
            "fine: a doubled entry, the last is right",
            json(
                "\"system/intro\": {",
                "\"system/intro\": {}, \"\\u0073ystem/intro\": {\"x\": 1, ",
            ),
        ),
    ]
}

#[test]
fn of_any_text_both_say_the_same_json() {
    let Some(mut judges) = Judge::both() else {
        return;
    };
    let project = Project::new();
    let mut random = Random::new(seed(), 4000);
    let mut texts: Vec<String> = vec!["-0".into(), "1E5".into(), "0.1e-6".into()];
    for _ in 0..rounds(60) {
        let mut text = value(&mut random, 0);
        if random.below(3) == 0 && !text.is_empty() {
            let at = text.floor_char_boundary(random.below(text.len()));
            let pieces = ["", "0", "\"", ",", "[", "}", "e", ".", "-", "\\", "\u{1}"];
            text.insert_str(at, pieces[random.below(pieces.len())]);
        }
        texts.push(text);
    }
    let question = json!({"op": "json", "texts": texts});
    let answer = judges[0].ask(&question).unwrap();
    for (text, canonical) in texts.iter().zip(answer.as_array().unwrap()) {
        let ran = project.run_with_input("hash --json -", text.as_bytes());
        match canonical.as_str() {
            None => assert_ne!(ran.code, Some(0), "{text:?}"),
            Some(canonical) => {
                let expected = project.run_with_input("hash -", canonical.as_bytes());
                assert_eq!(ran.ok(), expected.ok(), "{text:?}: {canonical}");
            }
        }
    }
}

/// A JSON value as somebody may write it.
fn value(random: &mut Random, depth: usize) -> String {
    let kinds = if depth < 3 { 6 } else { 4 };
    match random.below(kinds) {
        0 => ["null", "true", "false"][random.below(3)].to_owned(),
        1 => {
            let number = f64::from_bits(random.next());
            if number.is_finite() {
                format!("{number:e}")
            } else {
                "0".to_owned()
            }
        }
        2 => {
            // Halfway between two floats, or two decimals, are those of a few bits less than a float has.
            let number = random.next() >> random.below(64);
            let point = random.below(20);
            let exponent = random.below(40);
            [
                format!("{number}"),
                format!("-{number}.{point}"),
                format!("{number}.{point}E-{exponent}"),
                format!("0.{number:0>exponent$}"),
                format!("{number}e{exponent}"),
            ][random.below(5)]
            .clone()
        }
        3 => json!(text(random, &[])).to_string(),
        4 => {
            let values: Vec<String> = (0..random.below(4))
                .map(|_| value(random, depth + 1))
                .collect();
            format!("[{}]", values.join(" , "))
        }
        _ => {
            let members: Vec<String> = (0..random.below(4))
                .map(|_| {
                    let keys = ["b", "a", "ä", "\u{10000}", "\u{ffff}", "", "A"];
                    let key = json!(keys[random.below(keys.len())]);
                    format!("{key}:{}", value(random, depth + 1))
                })
                .collect();
            format!("{{{}}}", members.join(",\n"))
        }
    }
}

/// A tool's hash follows from its description and schemas, as the library makes them.
#[test]
fn a_contract_has_the_hash_that_the_library_gives_it() {
    let Some(mut judges) = Judge::both() else {
        return;
    };
    for judge in &mut judges {
        let made = judge.make(&rich_prompt());
        let project = Project::new();
        for tool in made["tools"].as_array().unwrap() {
            let file = project.write("tool.json", tool[2].to_string());
            assert!(Path::new(&file).exists());
            let hash = project.run("hash --tool tool.json").text();
            assert_eq!(hash.trim_end(), tool[1].as_str().unwrap());
        }
    }
}
