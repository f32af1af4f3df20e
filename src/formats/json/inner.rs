//! Results inside another json document.

use std::ops::Range;

use super::may_list_tests;
use crate::formats::Flaw;
use crate::formats::lexer::{Lexer, Next};

/// A document with more results is refused.
const MAX_INNER: usize = 10_000;

/// Results in objects and arrays that are nested deeper are not found.
const MAX_WRAPPINGS: usize = 16;

/// A result in a json text: the range of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inner {
    /// A document.
    Document(Range<usize>),
    /// A test that does not belong to a document.
    Test(Range<usize>),
    /// The end of an array: the tests before and after it belong to different runs.
    End,
}

/// Finds the documents and tests in a json text, and returns the length of the text.
pub(crate) fn find_inner(text: &[u8]) -> Result<(Vec<Inner>, usize), Flaw> {
    let mut found = Vec::new();
    let mut lexer = Lexer::new(text);
    find_in_value(&mut lexer, &mut found, 0)?;
    Ok((found, lexer.pos()))
}

/// Keys that every test outside a document must have.
const TEST_KEYS: [&[u8]; 6] = [
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
                if let Some(place) = TEST_KEYS.iter().position(|name| *name == &*key.value) {
                    keys |= 1 << place;
                }
                // Other programs have results, too.
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
            } else if keys.count_ones() as usize == TEST_KEYS.len() {
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

/// The text of an array up to the end of its first object.
fn first_object(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'}', text);
    &text[..end.unwrap_or(text.len())]
}
