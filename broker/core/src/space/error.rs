//! What is wrong with a tuple or a template: which field, what was expected, what came.

use std::borrow::Cow;
use std::fmt::{self, Display};

/// A tuple or a template that is refused. The publisher, consumer or caller of the API did it: on AMQP it is a channel error 406, in HTTP 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {subject}, {path}: expected {expected}, came {came}")]
pub struct Malformed {
    /// What is malformed.
    pub subject: Subject,
    /// Which field: `name`, `outer.inner`, `list[2]`; "the whole" if it is no field.
    pub path: String,
    /// What would have been taken there.
    pub expected: Cow<'static, str>,
    /// What is there.
    pub came: Cow<'static, str>,
}

/// What is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A tuple, and so its message.
    Tuple,
    /// A template.
    Template,
    /// The declaration of an index.
    Index,
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tuple => "tuple",
            Self::Template => "template",
            Self::Index => "index",
        })
    }
}

/// The way from the outermost value to where a reader is. It lies on the reader's stack and costs nothing until it is shown.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    step: Step<'a>,
    /// How many arrays and tables the value lies in.
    pub(crate) depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a [u8]),
    Element(usize),
}

impl<'a> Path<'a> {
    pub(crate) const ROOT: Path<'static> = Path {
        outer: None,
        step: Step::Root,
        depth: 0,
    };

    pub(crate) fn field(&'a self, name: &'a [u8]) -> Self {
        self.inner(Step::Field(name))
    }

    pub(crate) fn element(&'a self, index: usize) -> Self {
        self.inner(Step::Element(index))
    }

    fn inner(&'a self, step: Step<'a>) -> Self {
        Self {
            outer: Some(self),
            step,
            depth: self.depth + 1,
        }
    }

    /// The error that something here is not what it should be.
    #[cold]
    pub(crate) fn malformed(
        &self,
        subject: Subject,
        expected: impl Into<Cow<'static, str>>,
        came: impl Into<Cow<'static, str>>,
    ) -> Malformed {
        Malformed {
            subject,
            path: self.to_string(),
            expected: expected.into(),
            came: came.into(),
        }
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(outer) = self.outer else {
            return f.write_str("the whole");
        };
        let first = outer.outer.is_none();
        if !first {
            outer.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => write!(f, "{}{}", if first { "field " } else { "." }, String::from_utf8_lossy(name)),
            Step::Element(index) => write!(f, "{}[{index}]", if first { "element " } else { "" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_one_would_write_it() {
        let root = Path::ROOT;
        let (order, second) = (root.field(b"order"), root.element(1));
        let (lines, x) = (order.field(b"lines"), second.field(b"x"));
        let third = lines.element(2);
        for (path, shown) in [
            (root, "the whole"),
            (order, "field order"),
            (third, "field order.lines[2]"),
            (x, "element [1].x"),
        ] {
            assert_eq!(path.to_string(), shown);
        }
        assert_eq!(
            third.malformed(Subject::Tuple, "text", "an integer").to_string(),
            "malformed tuple, field order.lines[2]: expected text, came an integer"
        );
    }
}
