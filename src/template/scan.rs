//! A template's words with their places: what the parser does not say about names.
//!
//! `minijinja` finds out only while rendering that there is no such filter, and only on the
//! branch that is taken. Here filters, tests, functions, `record['…']` and the tables of
//! `lookup` are found when the configuration is loaded. Reads words, never meaning: whether
//! a template is well formed is the parser's question.

use std::ops::Range;

/// One word inside `{{ }}` or `{% %}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    /// Where it stands, in bytes.
    pub(super) place: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    /// `{{`
    Open,
    /// `{%`
    OpenBlock,
    /// A name or a keyword.
    Name(&'a str),
    /// A string, without its quotation marks and as written: escapes are not resolved.
    Text(&'a str),
    Number,
    /// One character of punctuation.
    Sign(char),
}

/// The words of a template. Ends quietly where the text is not a template: the parser has
/// the better words for that.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(open) = next_tag(source, at) {
        at = open + 2;
        if source[open..].starts_with("{#") {
            match source[at..].find("#}") {
                Some(end) => at += end + 2,
                None => return tokens,
            }
            continue;
        }
        let block = source[open..].starts_with("{%");
        let first = tokens.len() + 1;
        tokens.push(Token {
            kind: match block {
                true => TokenKind::OpenBlock,
                false => TokenKind::Open,
            },
            place: open..at,
        });
        at = tag(source, at, if block { "%}" } else { "}}" }, &mut tokens);
        let raw = tokens
            .get(first)
            .is_some_and(|token| token.kind == TokenKind::Name("raw"));
        if block && raw {
            // What follows is text, up to the block that ends it.
            at = source[at..]
                .find("endraw")
                .map_or(source.len(), |end| at + end);
        }
    }
    tokens
}

fn next_tag(source: &str, from: usize) -> Option<usize> {
    let find = |mark| source[from..].find(mark).map(|found| from + found);
    ["{{", "{%", "{#"].into_iter().filter_map(find).min()
}

/// Reads one tag's words; returns where it ends.
fn tag<'a>(source: &'a str, start: usize, close: &str, tokens: &mut Vec<Token<'a>>) -> usize {
    let mut depth = 0_u32;
    let mut at = start;
    while let Some(character) = source[at..].chars().next() {
        let rest = &source[at..];
        let end = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        if depth == 0 && end.starts_with(close) {
            return source.len() - end.len() + close.len();
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (kind, length) = if matches!(character, '\'' | '"') {
            let Some(length) = string_length(rest, character) else {
                return source.len();
            };
            (TokenKind::Text(&rest[1..length - 1]), length)
        } else if character.is_ascii_digit() {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            (TokenKind::Number, length)
        } else if is_word(character) {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            (TokenKind::Name(&rest[..length]), length)
        } else {
            match character {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (TokenKind::Sign(character), character.len_utf8())
        };
        if !character.is_whitespace() {
            tokens.push(Token {
                kind,
                place: at..at + length,
            });
        }
        at += length;
    }
    source.len()
}

/// The length of a string with its quotation marks; `None` when it does not end.
fn string_length(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// What a word is used as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// `| name`, with the string that is its first argument.
    Filter(&'a str, Option<&'a str>),
    /// `is name`.
    Test(&'a str),
    /// `name(`.
    Function(&'a str),
    /// `.name(`.
    Method(&'a str),
    /// `name`, where its value is read.
    Variable(&'a str),
    /// `name`, where a value is given to it: a loop's variable, a `set`, a named argument.
    Binding(&'a str),
    /// `record['name']` or `record.name`.
    Key(&'a str),
    /// `record` in any other way.
    WholeRecord,
}

/// Words that are neither variables nor called, and constants.
const KEYWORDS: [&str; 20] = [
    "if",
    "elif",
    "else",
    "for",
    "in",
    "is",
    "not",
    "and",
    "or",
    "set",
    "with",
    "filter",
    "recursive",
    "loop",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
];

/// What each name in a template is used as, with its place.
pub(super) fn roles<'a>(tokens: &[Token<'a>]) -> Vec<(Role<'a>, Range<usize>)> {
    let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| token.kind);
    let sign = |at: Option<usize>, wanted| kind(at) == Some(TokenKind::Sign(wanted));
    let mut roles = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenKind::Name(name) = token.kind else {
            continue;
        };
        let before = at.checked_sub(1);
        let calls = sign(Some(at + 1), '(');
        if kind(before) == Some(TokenKind::OpenBlock) {
            continue;
        }
        let starts_block = kind(at.checked_sub(2)) == Some(TokenKind::OpenBlock);
        let after_filter = kind(before) == Some(TokenKind::Name("filter")) && starts_block;
        let after_is = kind(before) == Some(TokenKind::Name("is"))
            || kind(before) == Some(TokenKind::Name("not"))
                && kind(at.checked_sub(2)) == Some(TokenKind::Name("is"));
        let role = if sign(before, '|') || after_filter {
            let argument = match kind(Some(at + 2)) {
                Some(TokenKind::Text(text)) if calls => Some(text),
                _ => None,
            };
            Role::Filter(name, argument)
        } else if after_is && name != "not" {
            Role::Test(name)
        } else if sign(before, '.') {
            match calls {
                true => Role::Method(name),
                false => continue,
            }
        } else if name == super::record::RECORD {
            match (kind(Some(at + 1)), kind(Some(at + 2))) {
                (Some(TokenKind::Sign('[')), Some(TokenKind::Text(key)))
                    if sign(Some(at + 3), ']') && !key.contains('\\') =>
                {
                    Role::Key(key)
                }
                (Some(TokenKind::Sign('.')), Some(TokenKind::Name(key))) => Role::Key(key),
                _ => Role::WholeRecord,
            }
        } else if KEYWORDS.contains(&name) {
            continue;
        } else if calls {
            Role::Function(name)
        } else if binds(tokens, at) {
            Role::Binding(name)
        } else {
            Role::Variable(name)
        };
        let place = match role {
            Role::Key(_) => tokens[at + 2].place.clone(),
            _ => token.place.clone(),
        };
        roles.push((role, place));
    }
    roles
}

/// Whether the name at this place is given a value.
fn binds(tokens: &[Token<'_>], at: usize) -> bool {
    let sign = |at: usize, wanted| {
        let token = tokens.get(at);
        token.is_some_and(|token| token.kind == TokenKind::Sign(wanted))
    };
    let before = |from: usize| tokens[..from].iter().rev();
    let in_target = || {
        let names = before(at).take_while(|token| {
            matches!(token.kind, TokenKind::Name(name) if name != "in")
                || matches!(token.kind, TokenKind::Sign(',' | '(' | ')'))
        });
        let first = names.last().map(|token| token.kind);
        matches!(first, Some(TokenKind::Name("for" | "set")))
    };
    sign(at + 1, '=') && !sign(at + 2, '=') || in_target()
}

/// How many operators the words hold, at most: what makes a parser descend.
pub(super) fn count_operators(tokens: &[Token<'_>]) -> usize {
    let is_operator = |token: &&Token<'_>| match token.kind {
        TokenKind::Sign(sign) => !matches!(sign, ',' | ':' | '(' | ')' | '[' | ']' | '{' | '}'),
        TokenKind::Name(name) => KEYWORDS.contains(&name),
        _ => false,
    };
    tokens.iter().filter(is_operator).count()
}

/// How many brackets of any kind are open at once, at most.
pub(super) fn measure_depth(tokens: &[Token<'_>]) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for token in tokens {
        match token.kind {
            TokenKind::Open | TokenKind::OpenBlock => open = 0,
            TokenKind::Sign('(' | '[' | '{') => open += 1,
            TokenKind::Sign(')' | ']' | '}') => open = open.saturating_sub(1),
            TokenKind::Sign(_) | TokenKind::Name(_) | TokenKind::Text(_) | TokenKind::Number => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}
