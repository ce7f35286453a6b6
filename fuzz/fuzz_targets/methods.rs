//! Fuzzes [`stoa_fuzz::amqp::methods`].
#![cfg_attr(fuzzing, no_main)]

stoa_fuzz::target!(stoa_fuzz::amqp::methods);
