//! Fuzzes [`stoa_fuzz::amqp::tables`].
#![cfg_attr(fuzzing, no_main)]

stoa_fuzz::target!(stoa_fuzz::amqp::tables);
