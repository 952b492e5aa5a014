//! The program as its users meet it: started, stopped, refused, looked at.

mod keys;
mod place;
mod profile;
mod server;
mod verify;
