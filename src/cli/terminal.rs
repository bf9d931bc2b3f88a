//! The two streams: data on stdout, everything else on stderr.
//!
//! Nothing else in the program writes to either. A reader that goes away (`provisor sync |
//! head`) is not an error: the work goes on and the rest of the output is dropped.

use std::io::{self, IsTerminal, Write};

use anstream::AutoStream;
use anstream::ColorChoice;

use super::args::{Arguments, Color};
use super::exit::Exit;
use super::render::text::printable;
use crate::apply::report::Failure;
use crate::config::ConfigError;

/// Where results and messages go.
pub(super) struct Terminal {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// stdout is no longer read.
    closed: bool,
    /// stdout could not be written for another reason: a full disk.
    broken: bool,
    quiet: bool,
    /// Whether stdout takes colours.
    pub(super) colour: bool,
    /// Whether moving bars may be drawn on stderr.
    pub(super) bars: bool,
    /// What a command begins with that is printed for the reader to run: the program, with the
    /// configuration that was given.
    pub(super) again: String,
}

/// Why a command ended before it had anything to report.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) message: Message,
}

/// What is printed of a [`Stop`].
#[derive(Debug)]
pub(super) enum Message {
    /// An error with its causes, and what to do about it where that is known.
    Error(anyhow::Error, Option<String>),
    /// Lines that are ready to print.
    Ready(String),
}

impl Stop {
    /// Exit 1.
    pub(super) fn failed(error: anyhow::Error) -> Self {
        Self {
            exit: Exit::Failed,
            message: Message::Error(error, None),
        }
    }

    /// Exit 2.
    pub(super) fn usage(error: anyhow::Error) -> Self {
        Self {
            exit: Exit::Usage,
            message: Message::Error(error, None),
        }
    }

    /// Exit 2, with the configuration's own rendering of place and hint.
    pub(super) fn configuration(error: &ConfigError) -> Self {
        Self {
            exit: Exit::Usage,
            message: Message::Ready(error.message.clone()),
        }
    }

    /// Says what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Message::Error(_, place) = &mut self.message {
            *place = Some(hint.into());
        }
        self
    }

    /// The error and its causes, outermost first.
    pub(super) fn chain(&self) -> Vec<String> {
        match &self.message {
            Message::Error(error, _) => error.chain().map(ToString::to_string).collect(),
            Message::Ready(text) => vec![text.trim_end().to_owned()],
        }
    }
}

impl From<&Failure> for Stop {
    fn from(failure: &Failure) -> Self {
        let mut causes = failure.chain.iter().rev();
        let innermost = causes.next().cloned().unwrap_or_default();
        let error = causes.fold(anyhow::Error::msg(innermost), |error, outer| {
            error.context(outer.clone())
        });
        Self {
            exit: failure.kind.into(),
            message: Message::Error(error, None),
        }
    }
}

impl Terminal {
    /// The process's own streams.
    pub(super) fn new(arguments: &Arguments) -> Self {
        let quiet = arguments.quiet;
        let stdout = io::stdout();
        let colour = match arguments.color {
            Color::Always => true,
            Color::Never => false,
            // Looks at the terminal, NO_COLOR, CLICOLOR and TERM.
            Color::Auto => AutoStream::choice(&stdout) != ColorChoice::Never,
        };
        let bars = !quiet && io::stderr().is_terminal();
        Self {
            out: Box::new(stdout),
            err: Box::new(io::stderr()),
            closed: false,
            broken: false,
            quiet,
            colour,
            bars,
            again: arguments.again(),
        }
    }

    /// Prints a result on stdout, and flushes it.
    pub(super) fn print(&mut self, text: &str) {
        if self.closed || self.broken {
            return;
        }
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        if let Err(error) = written {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.closed = true;
            } else {
                self.broken = true;
                self.say(&format!(
                    "error: cannot write to standard output\n  caused by: {error}\n"
                ));
            }
        }
    }

    /// Whether what is printed still arrives somewhere. A long listing ends when it does not.
    pub(super) fn is_read(&self) -> bool {
        !self.closed && !self.broken
    }

    /// Prints a warning, unless quiet.
    pub(super) fn warn(&mut self, text: &str) {
        if !self.quiet {
            self.say(&format!("warning: {}\n", printable(text)));
        }
    }

    /// Prints an error with its causes. `subject` is a target, `source NAME`, or nothing.
    pub(super) fn error(&mut self, subject: Option<&str>, chain: &[String], hint: Option<&str>) {
        let mut causes = chain.iter();
        let mut text = String::from("error: ");
        if let Some(subject) = subject {
            text.push_str(subject);
            text.push_str(": ");
        }
        text.push_str(&printable(causes.next().map_or("", String::as_str)));
        text.push('\n');
        for cause in causes {
            text.push_str(&format!("  caused by: {}\n", printable(cause)));
        }
        if let Some(hint) = hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        self.say(&text);
    }

    /// Prints why a command ended, and returns how.
    pub(super) fn stop(&mut self, stop: &Stop) -> Exit {
        match &stop.message {
            Message::Error(_, hint) => self.error(None, &stop.chain(), hint.as_deref()),
            Message::Ready(text) => self.say(&format!("{}\n", text.trim_end())),
        }
        stop.exit
    }

    /// The last word: output that was lost is a failure, unless nobody wanted it.
    pub(super) fn finish(self, exit: Exit) -> Exit {
        if self.broken {
            exit.and(Exit::Failed)
        } else {
            exit
        }
    }

    /// There is nobody left to tell if stderr cannot be written.
    fn say(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use anyhow::anyhow;

    use super::*;
    use crate::apply::report::FailureKind;

    /// Keeps what is written, or fails as it is told to.
    #[derive(Clone, Default)]
    struct Sink {
        text: Rc<RefCell<String>>,
        fails: Option<io::ErrorKind>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.fails {
                return Err(kind.into());
            }
            self.text
                .borrow_mut()
                .push_str(std::str::from_utf8(bytes).expect("only text is written"));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn terminal(fails: Option<io::ErrorKind>, quiet: bool) -> (Terminal, Sink, Sink) {
        let out = Sink {
            fails,
            ..Sink::default()
        };
        let err = Sink::default();
        let terminal = Terminal {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            closed: false,
            broken: false,
            quiet,
            colour: false,
            bars: false,
            again: "provisor".to_owned(),
        };
        (terminal, out, err)
    }

    #[test]
    fn a_reader_that_goes_away_is_success() {
        let (mut terminal, _, err) = terminal(Some(io::ErrorKind::BrokenPipe), false);
        terminal.print("demo: nothing to do (1 unchanged)\n");
        terminal.print("more\n");
        assert_eq!(terminal.finish(Exit::Done), Exit::Done);
        assert_eq!(*err.text.borrow(), "");
    }

    #[test]
    fn a_full_disk_is_said_once_and_fails() {
        let (mut terminal, _, err) = terminal(Some(io::ErrorKind::StorageFull), false);
        terminal.print("one\n");
        terminal.print("two\n");
        assert_eq!(terminal.finish(Exit::Done), Exit::Failed);
        assert_eq!(err.text.borrow().matches("error:").count(), 1);
    }

    #[test]
    fn an_error_lists_its_causes_and_a_hint() {
        let (mut terminal, out, err) = terminal(None, true);
        terminal.warn("not said when quiet");
        let stop = Stop::failed(anyhow!("connection refused").context("GET /Users"))
            .hint("is it running?");
        assert_eq!(terminal.stop(&stop), Exit::Failed);
        assert_eq!(
            *err.text.borrow(),
            "error: GET /Users\n  caused by: connection refused\nhint: is it running?\n"
        );
        assert_eq!(*out.text.borrow(), "");
    }

    #[test]
    fn a_failure_keeps_its_causes_in_order() {
        let failure = Failure {
            kind: FailureKind::Configuration,
            chain: ["outer", "middle", "inner"].map(str::to_owned).to_vec(),
        };
        let stop = Stop::from(&failure);
        assert_eq!(stop.exit, Exit::Usage);
        assert_eq!(stop.chain(), failure.chain);
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        let (mut terminal, _, err) = terminal(None, false);
        terminal.error(Some("demo"), &["500: \u{1b}[2J".to_owned()], None);
        assert_eq!(*err.text.borrow(), "error: demo: 500: \\u{1b}[2J\n");
    }
}
