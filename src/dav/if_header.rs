//! The If header (RFC 4918 §10.4.2), parsed.
//!
//! ```text
//! If = ( 1*List | 1*( "<" Simple-ref ">" 1*List ) )
//! List = "(" 1*( ["Not"] ( "<" state-token ">" | "[" entity-tag "]" ) ) ")"
//! ```

use super::Failure;
use super::headers::{Reference, reference, tag};
use crate::base::LockToken;
use crate::service::Error;
use crate::service::conditions::{About, Condition, If, List, State};

/// Parses the header's value. `origin` is this server as the client knows it.
///
/// # Errors
/// 400 with what was expected.
pub fn parse(text: &str, origin: &str) -> Result<If, Failure> {
    let mut parser = Parser { rest: text };
    let mut lists = Vec::new();
    let mut about = About::Request;
    let mut waiting = false;
    loop {
        match parser.peek() {
            None => break,
            Some('<') if !waiting && (about != About::Request || lists.is_empty()) => {
                about = resource(parser.between('<', '>')?, origin);
                waiting = true;
            }
            Some('(') => {
                lists.push(List { about: about.clone(), all: parser.list()? });
                waiting = false;
            }
            // What joining several headers, or a careless client, puts between lists.
            Some(',') if !lists.is_empty() && !waiting => parser.skip(),
            Some(_) => return Err(malformed("a list in parentheses")),
        }
    }
    if lists.is_empty() || waiting {
        return Err(malformed("a list in parentheses"));
    }
    Ok(If(lists))
}

fn resource(text: &str, origin: &str) -> About {
    match reference(text, origin) {
        Reference::Ours(path) => About::Path(path),
        Reference::Foreign | Reference::Nowhere | Reference::Malformed(_) => About::Elsewhere,
    }
}

fn malformed(expected: &str) -> Failure {
    Error::BadRequest(format!("the If header is malformed: {expected} was expected")).into()
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.chars().next()
    }

    fn skip(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    /// What stands between `open`, which is next, and `close`.
    fn between(&mut self, open: char, close: char) -> Result<&'a str, Failure> {
        let inside = self.rest.strip_prefix(open).ok_or_else(|| malformed("an opening bracket"))?;
        let (text, rest) = inside.split_once(close).ok_or_else(|| malformed("a closing bracket"))?;
        self.rest = rest;
        Ok(text)
    }

    fn list(&mut self) -> Result<Vec<Condition>, Failure> {
        self.skip();
        let mut all = Vec::new();
        loop {
            match self.peek() {
                Some(')') if !all.is_empty() => {
                    self.skip();
                    return Ok(all);
                }
                Some(')') | None => return Err(malformed("a condition")),
                Some(_) => all.push(self.condition()?),
            }
        }
    }

    fn condition(&mut self) -> Result<Condition, Failure> {
        let negated = self.rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
        if negated {
            self.rest = &self.rest[3..];
        }
        let is = match self.peek() {
            Some('<') => State::Locked(LockToken(self.between('<', '>')?.to_owned())),
            Some('[') => self.entity_tag()?,
            _ => return Err(malformed("<a state token> or [an entity tag]")),
        };
        Ok(Condition { negated, is })
    }

    /// A tag may have brackets inside its quotes.
    fn entity_tag(&mut self) -> Result<State, Failure> {
        let inside = self.rest.strip_prefix('[').ok_or_else(|| malformed("an opening bracket"))?;
        let (tag, behind) = tag(inside);
        self.rest = behind.strip_prefix(']').ok_or_else(|| malformed("a closing bracket"))?;
        Ok(State::Tagged(tag))
    }
}
