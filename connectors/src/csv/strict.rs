//! What a lenient CSV parser lets pass and a source of truth must not: quotes that are never
//! closed, text after a closing quote, and a file that stops inside a line.
//!
//! A parser that forgives a forgotten quote swallows the rows up to the next one, and every
//! person in them would count as gone. This stands between the file and the `csv` crate and
//! looks only at quotes and line breaks; it must not interpret cells.

use std::io::{self, Read};

use super::config::{Delimiter, FinalNewline};

/// The UTF-8 byte order mark; the `csv` crate drops it from the first buffer.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Hands on the bytes of `inner`, and fails once they cannot be a whole CSV file.
///
/// A file that may end without a newline is given one, so that every row that the parser
/// sees is terminated.
#[derive(Debug)]
pub(super) struct Strict<R> {
    inner: R,
    delimiter: u8,
    final_newline: FinalNewline,
    place: Place,
    /// The last byte seen; a line break before the first one.
    previous: u8,
    /// The number of the line that the next byte is on.
    line: u64,
    /// How many bytes `inner` gave.
    bytes: u64,
    ended: bool,
    problem: Option<Problem>,
}

/// What is wrong, and on which line.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) line: u64,
    pub(super) text: &'static str,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Outside,
    Quoted {
        opened_on: u64,
    },
    /// After a quote inside quotes: it closes the cell, or is the first half of `""`.
    AfterQuote {
        opened_on: u64,
    },
    /// After a closing quote and a carriage return.
    AfterReturn,
}

impl<R: Read> Strict<R> {
    pub(super) fn new(inner: R, delimiter: Delimiter, final_newline: FinalNewline) -> Self {
        Self {
            inner,
            delimiter: delimiter.byte(),
            final_newline,
            place: Place::Outside,
            previous: b'\n',
            line: 1,
            bytes: 0,
            ended: false,
            problem: None,
        }
    }

    /// What was wrong, after a read that failed; `None` where the system failed.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// How many bytes the file gave so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Follows the quotes through the next bytes.
    fn follow(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        // Lines are counted up to here. Counting a run at once is far quicker than byte by byte.
        let mut counted = 0;
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                Place::Outside => {
                    let Some(quote) = position_of_quote(&bytes[at..]) else {
                        break;
                    };
                    let quote = at + quote;
                    let before = match quote.checked_sub(1) {
                        Some(index) => bytes[index],
                        None => self.previous,
                    };
                    // Only a quote at the start of a cell quotes it; any other is text.
                    if before == self.delimiter || before == b'\n' {
                        self.line += line_breaks(&bytes[counted..quote]);
                        counted = quote;
                        self.place = Place::Quoted {
                            opened_on: self.line,
                        };
                    }
                    at = quote + 1;
                }
                Place::Quoted { opened_on } => {
                    let Some(quote) = position_of_quote(&bytes[at..]) else {
                        break;
                    };
                    self.place = Place::AfterQuote { opened_on };
                    at += quote + 1;
                }
                Place::AfterQuote { opened_on } => {
                    self.place = match bytes[at] {
                        b'"' => Place::Quoted { opened_on },
                        b'\r' => Place::AfterReturn,
                        byte if byte == self.delimiter || byte == b'\n' => Place::Outside,
                        _ => {
                            return Err(Problem {
                                line: self.line + line_breaks(&bytes[counted..at]),
                                text: "text after a closing quote: a quote before it was \
                                       forgotten, or a quote inside the cell is not doubled",
                            });
                        }
                    };
                    at += 1;
                }
                Place::AfterReturn => {
                    if bytes[at] != b'\n' {
                        return Err(Problem {
                            line: self.line + line_breaks(&bytes[counted..at]),
                            text: "text after a closing quote: a lone carriage return does not \
                                   end a line",
                        });
                    }
                    self.place = Place::Outside;
                    at += 1;
                }
            }
        }
        self.line += line_breaks(&bytes[counted..]);
        if let Some(last) = bytes.last() {
            self.previous = *last;
        }
        Ok(())
    }

    /// Judges the end of the file; the answer is how many bytes were added to it.
    fn end(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
        self.ended = true;
        if let Place::Quoted { opened_on } = self.place {
            return Err(Problem {
                line: opened_on,
                text: "a quote that opens on this line is never closed; the file may be cut",
            });
        }
        if self.previous == b'\n' {
            return Ok(0);
        }
        match (self.final_newline, buffer.first_mut()) {
            (FinalNewline::Optional, Some(first)) => {
                *first = b'\n';
                Ok(1)
            }
            (FinalNewline::Optional, None) => Ok(0),
            (FinalNewline::Required, _) => Err(Problem {
                line: self.line,
                text: "the last line does not end in a newline, so the file may be cut; if it \
                       is whole, set `final_newline = \"optional\"`",
            }),
        }
    }
}

impl<R: Read> Read for Strict<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        let judged = if read == 0 {
            self.end(buffer)
        } else {
            let bytes = &buffer[..read];
            let body = match bytes.strip_prefix(BYTE_ORDER_MARK) {
                Some(body) if self.bytes == 0 => body,
                _ => bytes,
            };
            self.bytes += read as u64;
            self.follow(body).map(|()| read)
        };
        judged.map_err(|problem| {
            let error = io::Error::new(io::ErrorKind::InvalidData, problem.text);
            self.problem = Some(problem);
            error
        })
    }
}

fn position_of_quote(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'"')
}

fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most `step` bytes a read, so that every seam between two buffers is tried.
    struct Slow<'a> {
        bytes: &'a [u8],
        step: usize,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let step = self.step.min(buffer.len());
            self.bytes.read(&mut buffer[..step])
        }
    }

    fn judge(bytes: &[u8], step: usize) -> Result<Vec<u8>, u64> {
        let mut strict = Strict::new(
            Slow { bytes, step },
            Delimiter::default(),
            FinalNewline::Required,
        );
        let mut out = Vec::new();
        match strict.read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(_) => Err(strict.problem().expect("nothing else can fail").line),
        }
    }

    #[test]
    fn the_verdict_does_not_depend_on_where_a_buffer_ends() {
        let cases: [(&[u8], Result<(), u64>); 9] = [
            (b"a,b\n1,\"x\"\n", Ok(())),
            (b"a,b\r\n1,\"x\"\r\n", Ok(())),
            (b"a,b\n1,\"x \"\"y\"\"\n\nz\"\n", Ok(())),
            (b"a,b\n1,5\" disk\n", Ok(())),
            (b"a,b\n1,\"\"\n\"\",2\n", Ok(())),
            (b"a,b\n1,\"x\n2,y\n", Err(2)),
            (b"a,b\n1,\"x\n2,\"y\"\n", Err(3)),
            (b"a,b\n1,\"x\"\ry\n", Err(2)),
            (b"a,b\n1,x\n2,y", Err(3)),
        ];
        for (bytes, expected) in cases {
            for step in 1..=bytes.len() {
                assert_eq!(
                    judge(bytes, step),
                    expected.map(|()| bytes.to_vec()),
                    "{:?} in steps of {step}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
    }
}
