//! A small page on this machine, on which a person decides about requests that wait. Clients are told its address
//! (`auth_url`), so the address alone allows nothing: whoever decides shows the code that `keep serve` printed.

mod form;
mod page;
mod pages;
mod server;

pub use pages::Pages;
pub use server::listen;
