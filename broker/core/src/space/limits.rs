//! The limits of tuples and templates. What breaks one is refused with an error that names the limit; nothing is cut to fit.

use stoa_amqp::Table;

/// How deep arrays and tables may be nested in a tuple or a template, the outermost one counted: as deep as AMQP's tables.
pub const DEPTH_MAX: usize = Table::DEPTH_MAX;

/// How many values a tuple may have, those in nested arrays and tables counted.
pub const TUPLE_FIELDS_MAX: usize = 1024;

/// How many octets a tuple may have where it stands: its headers, its `x-tuple`, or its body. A larger payload belongs into a body that is
/// not the tuple.
pub const TUPLE_OCTETS_MAX: usize = 256 * 1024;

/// How many values and operators a template may have, nested ones counted.
pub const TEMPLATE_FIELDS_MAX: usize = 256;

/// How many octets a template may have as it came, or its texts and names together if it came as a table.
pub const TEMPLATE_OCTETS_MAX: usize = 64 * 1024;

/// How many indexes a space may declare.
pub const INDEXES_DECLARED_MAX: usize = 16;

/// Over how many fields together one of them may be.
pub const INDEX_FIELDS_MAX: usize = 8;
