//! What the server tells the helper.

use std::{
    io::{self, Read},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use coffer_sys::sandbox::Access;
use coffer_types::Secret;
use serde::{Deserialize, Serialize};

/// The user that a function is in a user namespace of its own, as on AWS.
pub(super) const USER_INSIDE: u32 = 993;
/// Far more than four kilobytes of variables and some paths.
const PLAN_BYTES_MAX: u32 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Walls {
    /// Namespaces, and a file system and network of its own.
    Full,
    /// The machine's network and files, of which only some can be reached.
    Process,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    pub walls: Walls,
    /// Whom to become, if the server is root.
    pub user: Option<u32>,
    /// An empty directory, over which the root of the function is built.
    pub root: PathBuf,
    /// Where these are on the machine.
    pub code: PathBuf,
    pub layers: Option<PathBuf>,
    pub runtime: PathBuf,
    /// Directory for temporary files, if it is not a file system of its own.
    pub scratch: PathBuf,
    pub scratch_bytes: u64,
    /// What else may be read: the interpreter.
    pub read: Vec<PathBuf>,
    pub authorities: Option<PathBuf>,
    /// Names that stand for addresses of the function's own network.
    pub hosts: Vec<(String, String)>,
    pub listen: Vec<SocketAddr>,
    pub data_bytes: u64,
    pub processes: u64,
    pub open_files: u64,
    /// As the function sees it.
    pub task_root: PathBuf,
    pub program: Vec<String>,
    /// Programs that are started before it.
    pub extensions: Vec<String>,
    #[serde(with = "secret_pairs")]
    pub environment: Vec<(String, Secret<String>)>,
}

/// Of the machine, what programs need to run at all.
pub(super) const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
pub(super) const SYSTEM_FILES: &[&str] = &[
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
];

impl Plan {
    pub(crate) fn to_bytes(&self) -> io::Result<Secret<Vec<u8>>> {
        let body = Secret::new(serde_json::to_vec(self)?);
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut bytes = Secret::new(Vec::with_capacity(body.len() + 4));
        bytes.expose_mut().extend_from_slice(&length.to_be_bytes());
        bytes.expose_mut().extend_from_slice(body.expose());
        Ok(bytes)
    }

    pub(super) fn read(mut from: &UnixStream) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > PLAN_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = Secret::new(vec![0; length as usize]);
        from.read_exact(body.expose_mut())?;
        Ok(serde_json::from_slice(body.expose())?)
    }

    /// Which files the function reaches, as it sees them.
    pub(super) fn reachable(&self) -> Vec<(&Path, Access)> {
        let mut paths: Vec<(&Path, Access)> = match self.walls {
            // Everything that it sees was put there for it; only these can be written to.
            Walls::Full => vec![(Path::new("/"), Access::Read), (Path::new("/tmp"), Access::All)],
            Walls::Process => SYSTEM
                .iter()
                .chain(SYSTEM_FILES)
                .chain(&["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group"])
                .chain(&["/etc/pki/tls", "/etc/pki/ca-trust"])
                .map(|path| (Path::new(*path), Access::Read))
                .chain([&self.code, &self.runtime].map(|path| (path.as_path(), Access::Read)))
                .chain(self.layers.iter().map(|path| (path.as_path(), Access::Read)))
                .chain(self.read.iter().map(|path| (path.as_path(), Access::Read)))
                .chain([(self.scratch.as_path(), Access::All)])
                .collect(),
        };
        for device in DEVICES {
            paths.push((Path::new(*device), Access::All));
        }
        paths.push((
            Path::new("/dev/shm"),
            if self.walls == Walls::Full { Access::All } else { Access::Read },
        ));
        paths.push((Path::new("/proc/self"), Access::Read));
        paths
    }
}

pub(super) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Values that stay secret on either side.
mod secret_pairs {
    use coffer_types::Secret;
    use serde::{Deserialize, Deserializer, Serializer, ser::SerializeSeq};

    pub(super) fn serialize<S: Serializer>(
        pairs: &[(String, Secret<String>)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(pairs.len()))?;
        for (name, value) in pairs {
            list.serialize_element(&(name, value.expose()))?;
        }
        list.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(String, Secret<String>)>, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(from)?;
        Ok(pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
    }
}
