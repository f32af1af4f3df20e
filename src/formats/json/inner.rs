//! Results that lie inside of another json document.

use std::ops::Range;

use super::may_list_tests;
use crate::formats::Flaw;
use crate::formats::lexer::{Lexer, Next};

/// More results inside of one other document are refused.
const MAX_INNER: usize = 10_000;

/// A result that lies deeper inside of another document is not looked for.
const MAX_WRAPPINGS: usize = 16;

/// A result that lies somewhere inside of a json text, by the bytes of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inner {
    /// A document.
    Document(Range<usize>),
    /// A test that is part of no document.
    Test(Range<usize>),
    /// The end of an array: the tests before it and behind it are not of one run.
    End,
}

/// Finds the documents and tests in a json text, however deep, and tells how long the text is.
pub(crate) fn find_inner(text: &[u8]) -> Result<(Vec<Inner>, usize), Flaw> {
    let mut found = Vec::new();
    let mut lexer = Lexer::new(text);
    find_in_value(&mut lexer, &mut found, 0)?;
    Ok((found, lexer.pos()))
}

/// What every test has that stands in a list of tests.
const OF_A_TEST: [&[u8]; 6] = [
    b"name",
    b"n_prompt",
    b"n_gen",
    b"prompt_tps",
    b"gen_tps",
    b"ttft_ms",
];

fn find_in_value(lexer: &mut Lexer<'_>, found: &mut Vec<Inner>, depth: usize) -> Result<(), Flaw> {
    match lexer.next()? {
        Next::Object if depth < MAX_WRAPPINGS => {
            let start = lexer.pos();
            let (mut is_ours, mut keys) = (false, 0_u8);
            lexer.object(|lexer, key| {
                if let Some(place) = OF_A_TEST.iter().position(|name| *name == &*key.value) {
                    keys |= 1 << place;
                }
                // Other programs have results too.
                if *key.value == *b"results"
                    && lexer.next()? == Next::Array
                    && may_list_tests(first_object(lexer.rest()))
                {
                    is_ours = true;
                    return lexer.skip();
                }
                find_in_value(lexer, found, depth + 1)
            })?;
            let object = start..lexer.pos();
            if is_ours {
                found.push(Inner::Document(object));
            } else if keys.count_ones() as usize == OF_A_TEST.len() {
                found.push(Inner::Test(object));
            }
            if found.len() > MAX_INNER {
                return Err(Flaw::new(start, "too many results in one json document"));
            }
            Ok(())
        }
        Next::Array if depth < MAX_WRAPPINGS => {
            let before = found.len();
            lexer.array(|lexer| find_in_value(lexer, found, depth + 1))?;
            if found.len() > before && matches!(found.last(), Some(Inner::Test(_))) {
                found.push(Inner::End);
            }
            Ok(())
        }
        _ => lexer.skip(),
    }
}

/// What there is of an array up to the end of its first object.
fn first_object(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'}', text);
    &text[..end.unwrap_or(text.len())]
}
