//! The program as its users meet it: started, stopped, refused, looked at.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod owner;
#[cfg(test)]
mod place;
#[cfg(test)]
mod profile;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod reset;
#[cfg(test)]
mod secret_policy;
mod server;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod verify;
