//! The command line as programs and people meet it: the real binary, in directories of its own.

mod cases;
mod damage;
mod json;
mod leaks;
mod prompts;
mod serving;
mod world;
