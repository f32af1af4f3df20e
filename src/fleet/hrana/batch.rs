//! Batches of statements, and the requests that they become.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::Value;

/// Statements that are one transaction.
#[derive(Debug)]
pub(crate) struct Batch {
    begin: &'static str,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Step {
    sql: Cow<'static, str>,
    args: Vec<Value>,
    /// The step that must have failed; else all before must have succeeded.
    pub(super) instead_of: Option<usize>,
}

impl Batch {
    /// A batch whose statements read, all of them the same state of the database. A replica answers
    /// it without its primary, and a token that may only read is enough.
    pub(crate) fn read() -> Self {
        Self::new("BEGIN")
    }

    /// A batch whose statements may write. Nobody else writes between them.
    pub(crate) fn write() -> Self {
        Self::new("BEGIN IMMEDIATE")
    }

    fn new(begin: &'static str) -> Self {
        Self {
            begin,
            steps: Vec::new(),
        }
    }

    pub(super) fn is_write(&self) -> bool {
        self.begin != "BEGIN"
    }

    /// Whether it is one statement that reads, which needs no transaction: so the request that finds
    /// nothing new is as small as it can be.
    pub(super) fn is_alone(&self) -> bool {
        !self.is_write() && self.steps.len() == 1
    }

    /// Adds a statement that is run if every statement before it succeeded, those of
    /// [`instead`](Self::instead) aside. Returns its number. It must take exactly these arguments.
    pub(crate) fn then(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        args: impl Into<Vec<Value>>,
    ) -> usize {
        self.add(sql.into(), args.into(), None)
    }

    /// Adds a statement that is run if the step `of`, which must be there, failed: within the
    /// transaction, before it is rolled back. It should only read. Returns its number.
    pub(crate) fn instead(
        &mut self,
        of: usize,
        sql: impl Into<Cow<'static, str>>,
        args: impl Into<Vec<Value>>,
    ) -> usize {
        debug_assert!(of < self.steps.len(), "the step is there");
        self.add(sql.into(), args.into(), Some(of))
    }

    fn add(
        &mut self,
        sql: Cow<'static, str>,
        args: Vec<Value>,
        instead_of: Option<usize>,
    ) -> usize {
        self.steps.push(Step {
            sql,
            args,
            instead_of,
        });
        self.steps.len() - 1
    }

    /// The request, whose texts of statements are there once each.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for step in &self.steps {
            *uses.entry(&step.sql).or_default() += 1;
        }
        let mut ids: HashMap<&str, usize> = HashMap::new();
        let mut stored = Vec::new();
        for step in &self.steps {
            let sql = &*step.sql;
            if uses[sql] > 1 && stored.len() < MAX_STORED && !ids.contains_key(sql) {
                ids.insert(sql, stored.len());
                stored.push(Request::StoreSql {
                    sql_id: stored.len(),
                    sql,
                });
            }
        }
        let mut requests = stored;
        requests.push(Request::Batch {
            batch: Steps { batch: self, ids },
        });
        requests.push(Request::Close);
        serde_json::to_vec(&Pipeline { requests })
    }
}

/// The most texts that are stored for a batch; sqld stores 50.
pub(super) const MAX_STORED: usize = 48;

#[derive(Serialize)]
struct Pipeline<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request<'a> {
    StoreSql { sql_id: usize, sql: &'a str },
    Batch { batch: Steps<'a> },
    Close,
}

struct Steps<'a> {
    batch: &'a Batch,
    ids: HashMap<&'a str, usize>,
}

#[derive(Serialize)]
struct SentStep<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
    stmt: Statement<'a>,
}

#[derive(Serialize, Default)]
struct Statement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_id: Option<usize>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    args: &'a [Value],
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Condition {
    Ok { step: usize },
    Error { step: usize },
    Not { cond: Box<Condition> },
    And { conds: Vec<Condition> },
}

impl Serialize for Steps<'_> {
    /// `BEGIN` is step 0, so that a step of the batch has its number and 1; after them `COMMIT`, and
    /// `ROLLBACK` if that was not done.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("steps", &StepList(self))?;
        map.end()
    }
}

struct StepList<'a>(&'a Steps<'a>);

impl Serialize for StepList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Steps { batch, ids } = self.0;
        let plain = |sql| Statement {
            sql: Some(sql),
            ..Statement::default()
        };
        if let ([step], true) = (&*batch.steps, batch.is_alone()) {
            let stmt = Statement {
                args: &step.args,
                ..plain(&step.sql)
            };
            return [SentStep {
                condition: None,
                stmt,
            }]
            .serialize(serializer);
        }
        let count = batch.steps.len();
        let mut list = serializer.serialize_seq(Some(count + 3))?;
        list.serialize_element(&SentStep {
            condition: None,
            stmt: plain(batch.begin),
        })?;
        let mut last = 0;
        for (index, step) in batch.steps.iter().enumerate() {
            let condition = match step.instead_of {
                Some(of) => Condition::Error { step: of + 1 },
                None => Condition::Ok { step: last },
            };
            if step.instead_of.is_none() {
                last = index + 1;
            }
            let stored = ids.get(&*step.sql).copied();
            list.serialize_element(&SentStep {
                condition: Some(condition),
                stmt: Statement {
                    sql: stored.is_none().then_some(&*step.sql),
                    sql_id: stored,
                    args: &step.args,
                },
            })?;
        }
        let commit = count + 1;
        list.serialize_element(&SentStep {
            condition: Some(Condition::Ok { step: last }),
            stmt: plain("COMMIT"),
        })?;
        let cond = Box::new(Condition::Ok { step: commit });
        list.serialize_element(&SentStep {
            condition: Some(Condition::And {
                conds: vec![Condition::Ok { step: 0 }, Condition::Not { cond }],
            }),
            stmt: plain("ROLLBACK"),
        })?;
        list.end()
    }
}
