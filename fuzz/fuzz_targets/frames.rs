//! Fuzzes [`stoa_fuzz::amqp::frames`].
#![cfg_attr(fuzzing, no_main)]

stoa_fuzz::target!(stoa_fuzz::amqp::frames);
