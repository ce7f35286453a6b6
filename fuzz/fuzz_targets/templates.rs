//! Fuzzes [`stoa_fuzz::space::templates`].
#![cfg_attr(fuzzing, no_main)]

stoa_fuzz::target!(stoa_fuzz::space::templates);
