//! What a test asks a server itself: SQL by `/v2/pipeline`, over a connection each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::server::{PATIENCE, header, read_head};

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// The body, which is JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_str(&self.body);
        json.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A client of a server.
pub(crate) struct Client {
    address: SocketAddr,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            token: None,
        }
    }

    pub(crate) fn with_token(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            token: Some(token.to_owned()),
        }
    }

    /// Posts a pipeline; an error means that no whole answer came.
    pub(crate) fn try_pipeline(&self, pipeline: &Value) -> std::io::Result<Answer> {
        let token = self.token.as_ref();
        let head = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        ask(
            self.address,
            "POST /v2/pipeline",
            &head.unwrap_or_default(),
            &pipeline.to_string(),
        )
    }

    /// Posts a pipeline, which must be answered.
    #[track_caller]
    pub(crate) fn pipeline(&self, pipeline: &Value) -> Answer {
        self.try_pipeline(pipeline).expect("an answer")
    }

    /// Runs one statement: its rows, or what went wrong; of an answer that is not 200, that number and
    /// its body.
    pub(crate) fn try_query(&self, sql: &str, arguments: &[Value]) -> Result<Vec<Row>, String> {
        let statement = statement(sql, arguments);
        let answer = self.try_pipeline(&json!({"requests": [
            {"type": "execute", "stmt": statement}, {"type": "close"},
        ]}));
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("{} {}", answer.status, answer.body));
        }
        rows(&answer.json()["results"][0])
    }

    /// Runs one statement, which must be fine.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> Vec<Row> {
        self.query_with(sql, &[])
    }

    /// Runs one statement with arguments, which must be fine.
    #[track_caller]
    pub(crate) fn query_with(&self, sql: &str, arguments: &[Value]) -> Vec<Row> {
        let rows = self.try_query(sql, arguments);
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The one value of a query.
    #[track_caller]
    pub(crate) fn value(&self, sql: &str) -> Value {
        let rows = self.query(sql);
        let [row] = &rows[..] else {
            panic!("{sql}: {rows:?}")
        };
        row[0].clone()
    }

    /// Begins a transaction that stays open from request to request.
    pub(crate) fn transaction(&self) -> Transaction<'_> {
        let mut transaction = Transaction {
            client: self,
            baton: Value::Null,
        };
        transaction.query("BEGIN IMMEDIATE", &[]);
        transaction
    }
}

/// A row: null, integers, floats and texts as they are, a blob as its base64.
pub(crate) type Row = Vec<Value>;

/// A transaction of several requests, as `@libsql/client` does it. The server undoes it some time
/// after the last one.
pub(crate) struct Transaction<'a> {
    client: &'a Client,
    baton: Value,
}

impl Transaction<'_> {
    /// Runs one statement, which must be fine.
    #[track_caller]
    pub(crate) fn query(&mut self, sql: &str, arguments: &[Value]) -> Vec<Row> {
        let answer = self.client.pipeline(&json!({
            "baton": self.baton,
            "requests": [{"type": "execute", "stmt": statement(sql, arguments)}],
        }));
        assert_eq!(answer.status, 200, "{sql}: {answer:?}");
        let answer = answer.json();
        self.baton = answer["baton"].clone();
        rows(&answer["results"][0]).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    #[track_caller]
    pub(crate) fn commit(mut self) {
        self.query("COMMIT", &[]);
        self.client
            .pipeline(&json!({"baton": self.baton, "requests": [{"type": "close"}]}));
    }
}

/// A statement of the protocol. Arguments are null, booleans, numbers and texts.
fn statement(sql: &str, arguments: &[Value]) -> Value {
    let typed = arguments.iter().map(|value| match value {
        Value::Null => json!({"type": "null"}),
        Value::Bool(value) => json!({"type": "integer", "value": u8::from(*value).to_string()}),
        Value::Number(value) if value.is_f64() => json!({"type": "float", "value": value}),
        Value::Number(value) => json!({"type": "integer", "value": value.to_string()}),
        Value::String(value) => json!({"type": "text", "value": value}),
        other => panic!("no argument: {other}"),
    });
    json!({"sql": sql, "args": typed.collect::<Vec<_>>()})
}

/// The rows of a result, or its error.
fn rows(result: &Value) -> Result<Vec<Row>, String> {
    if result["type"] != "ok" {
        return Err(result["error"]["message"].as_str().unwrap().to_owned());
    }
    let rows = result["response"]["result"]["rows"].as_array().unwrap();
    let value = |value: &Value| match value["type"].as_str().unwrap() {
        "null" => Value::Null,
        "integer" => value["value"]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .unwrap()
            .into(),
        "blob" => value["base64"].clone(),
        _ => value["value"].clone(),
    };
    let row = |row: &Value| row.as_array().unwrap().iter().map(value).collect();
    Ok(rows.iter().map(row).collect())
}

/// Whether a server answers there.
pub(crate) fn is_healthy(address: SocketAddr) -> bool {
    ask(address, "GET /health", "", "").is_ok_and(|answer| answer.status == 200)
}

/// Sends one request and reads its answer.
fn ask(address: SocketAddr, target: &str, head: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{head}\r\n{body}"
    )?;
    let (head, _) = read_head(&mut stream)?;
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let wrong = || std::io::Error::other(format!("no status: {head}"));
    Ok(Answer {
        status: status.ok_or_else(wrong)?,
        body: String::from_utf8(body).map_err(std::io::Error::other)?,
    })
}
