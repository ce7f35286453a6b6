//! The AMQP 0-9-1 wire: frames, methods, tables, properties, reply codes. Bytes in, values out; no I/O.
