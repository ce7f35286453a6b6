//! Fuzzes [`stoa_fuzz::transport::proxy_header`].
#![cfg_attr(fuzzing, no_main)]

stoa_fuzz::target!(stoa_fuzz::transport::proxy_header);
