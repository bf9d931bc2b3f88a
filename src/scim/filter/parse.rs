//! A recursive descent over the filter grammar of RFC 7644 §3.4.2.2, figure 1.
//! `not` binds tightest, then `and`, then `or`.

use serde_json::Value;

use super::{Attribute, Filter, FilterError, MAX_DEPTH, MAX_LENGTH, Operator, Target};

/// Parses a whole filter.
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser::new(text)?;
    let filter = parser.any_of(0, false)?;
    parser.end()?;
    Ok(filter)
}

/// Parses the path of a PATCH operation: `a`, `a.b`, `a[filter]`, `a[filter].b`, any of them
/// behind a schema's URN.
pub fn parse_target(text: &str) -> Result<Target, FilterError> {
    let mut parser = Parser::new(text)?;
    let mut attribute = parser.attribute()?;
    let mut filter = None;
    if parser.skip_char('[') {
        if attribute.sub.is_some() {
            return Err(parser.error("brackets follow the attribute, not its sub-attribute"));
        }
        filter = Some(parser.any_of(1, true)?);
        parser.expect_char(']')?;
        if parser.skip_char('.') {
            attribute.sub = Some(parser.name()?.to_owned());
        }
    }
    parser.end()?;
    Ok(Target { attribute, filter })
}

/// Parses an attribute alone: `a`, `a.b`, `URN:a.b`, as in `attributes=` and `sortBy=`.
pub fn parse_attribute(text: &str) -> Result<Attribute, FilterError> {
    let mut parser = Parser::new(text)?;
    let attribute = parser.attribute()?;
    parser.end()?;
    Ok(attribute)
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes, always on a character's boundary.
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, FilterError> {
        let parser = Self { text, at: 0 };
        if text.len() > MAX_LENGTH {
            return Err(parser.error(&format!("it is longer than {MAX_LENGTH} bytes")));
        }
        Ok(parser)
    }

    fn error(&self, problem: &str) -> FilterError {
        FilterError {
            position: self.text[..self.at].chars().count() + 1,
            problem: problem.to_owned(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn end(&mut self) -> Result<(), FilterError> {
        self.skip_spaces();
        if self.rest().is_empty() {
            return Ok(());
        }
        Err(self.error("nothing more was expected here; join conditions with `and` or `or`"))
    }

    fn skip_char(&mut self, character: char) -> bool {
        let found = self.rest().starts_with(character);
        if found {
            self.at += character.len_utf8();
        }
        found
    }

    fn expect_char(&mut self, character: char) -> Result<(), FilterError> {
        self.skip_spaces();
        if self.skip_char(character) {
            return Ok(());
        }
        Err(self.error(&format!("`{character}` is missing")))
    }

    /// Takes a keyword in any case, where it is a word of its own.
    fn skip_word(&mut self, word: &str) -> bool {
        self.skip_spaces();
        let rest = self.rest();
        let found = rest
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
            && !rest[word.len()..].starts_with(is_name_char);
        if found {
            self.at += word.len();
        }
        found
    }

    fn any_of(&mut self, depth: usize, inside: bool) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all_of(depth, inside)?];
        while self.skip_word("or") {
            parts.push(self.all_of(depth, inside)?);
        }
        Ok(single_or(parts, Filter::Or))
    }

    fn all_of(&mut self, depth: usize, inside: bool) -> Result<Filter, FilterError> {
        let mut parts = vec![self.condition(depth, inside)?];
        while self.skip_word("and") {
            parts.push(self.condition(depth, inside)?);
        }
        Ok(single_or(parts, Filter::And))
    }

    /// One condition. `inside` brackets there are no further brackets.
    fn condition(&mut self, depth: usize, inside: bool) -> Result<Filter, FilterError> {
        self.skip_spaces();
        if depth > MAX_DEPTH {
            return Err(self.error(&format!("it is nested deeper than {MAX_DEPTH}")));
        }
        let start = self.at;
        if self.skip_word("not") {
            self.skip_spaces();
            if self.skip_char('(') {
                return Ok(Filter::Not(Box::new(self.group(depth, inside)?)));
            }
            // `not` may also be somebody's attribute.
            self.at = start;
        }
        if self.skip_char('(') {
            return self.group(depth, inside);
        }
        let attribute = self.attribute()?;
        if self.skip_char('[') {
            if inside || attribute.sub.is_some() {
                return Err(self.error("brackets follow an attribute, and are not nested"));
            }
            let filter = self.any_of(depth + 1, true)?;
            self.expect_char(']')?;
            return Ok(Filter::Element(attribute, Box::new(filter)));
        }
        self.skip_spaces();
        let Some(operator) = self.operator() else {
            return Err(
                self.error("an operator was expected: eq, ne, co, sw, ew, gt, ge, lt, le, or pr")
            );
        };
        let Some(operator) = operator else {
            return Ok(Filter::Present(attribute));
        };
        let value = self.value(operator)?;
        Ok(Filter::Compare(attribute, operator, value))
    }

    fn group(&mut self, depth: usize, inside: bool) -> Result<Filter, FilterError> {
        let filter = self.any_of(depth + 1, inside)?;
        self.expect_char(')')?;
        Ok(filter)
    }

    /// An operator; `Some(None)` is `pr`.
    fn operator(&mut self) -> Option<Option<Operator>> {
        const OPERATORS: [(&str, Option<Operator>); 10] = [
            ("eq", Some(Operator::Equal)),
            ("ne", Some(Operator::NotEqual)),
            ("co", Some(Operator::Contains)),
            ("sw", Some(Operator::StartsWith)),
            ("ew", Some(Operator::EndsWith)),
            ("gt", Some(Operator::Greater)),
            ("ge", Some(Operator::GreaterOrEqual)),
            ("lt", Some(Operator::Less)),
            ("le", Some(Operator::LessOrEqual)),
            ("pr", None),
        ];
        OPERATORS
            .into_iter()
            .find(|(word, _)| self.skip_word(word))
            .map(|(_, operator)| operator)
    }

    /// A comparison's value: a JSON string, number, boolean or null.
    fn value(&mut self, operator: Operator) -> Result<Value, FilterError> {
        self.skip_spaces();
        let rest = self.rest();
        let (value, length) = if rest.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let value = values.next().and_then(Result::ok);
            (value, values.byte_offset())
        } else {
            let length = rest
                .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '{'))
                .unwrap_or(rest.len());
            (serde_json::from_str(&rest[..length]).ok(), length)
        };
        let Some(value) = value else {
            return Err(self
                .error("a value was expected: a \"quoted\" text, a number, true, false or null"));
        };
        let ordering = matches!(
            operator,
            Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual
        );
        let textual = matches!(
            operator,
            Operator::Contains | Operator::StartsWith | Operator::EndsWith
        );
        if (ordering && matches!(value, Value::Bool(_) | Value::Null))
            || (textual && !value.is_string())
        {
            return Err(self.error("this operator cannot compare with such a value"));
        }
        self.at += length;
        Ok(value)
    }

    /// `[URN:]name[.sub]`.
    fn attribute(&mut self) -> Result<Attribute, FilterError> {
        self.skip_spaces();
        let word = self
            .rest()
            .split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | '"'))
            .next()
            .unwrap_or_default();
        let mut schema = None;
        if word
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
            && let Some((urn, _)) = word.rsplit_once(':')
        {
            schema = Some(urn.to_owned());
            self.at += urn.len() + 1;
        }
        let name = self.name()?.to_owned();
        let sub = match self.skip_char('.') {
            true => Some(self.name()?.to_owned()),
            false => None,
        };
        Ok(Attribute { schema, name, sub })
    }

    /// `ATTRNAME` of RFC 7643 §2.1, and `$ref`.
    fn name(&mut self) -> Result<&'a str, FilterError> {
        let rest = self.rest();
        let length = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        let name = &rest[..length];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') {
            return Err(self.error("an attribute's name was expected, such as `userName`"));
        }
        self.at += length;
        Ok(name)
    }
}

fn is_name_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '$')
}

fn single_or(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
