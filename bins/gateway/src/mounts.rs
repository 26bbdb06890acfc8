//! Which path belongs to which service.

use std::fmt;

/// The services behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Objects.
    Storaged,
    /// Datasets.
    Catalogd,
    /// CSV in.
    Ingestd,
    /// SQL.
    Queryd,
    /// Vector search.
    Vectord,
    /// Text to vectors.
    Embedd,
}

impl Service {
    /// All of them; each stands at the place of its discriminant.
    pub const ALL: [Self; 6] =
        [Self::Storaged, Self::Catalogd, Self::Ingestd, Self::Queryd, Self::Vectord, Self::Embedd];

    /// Its name, as in the configuration and in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storaged => "storaged",
            Self::Catalogd => "catalogd",
            Self::Ingestd => "ingestd",
            Self::Queryd => "queryd",
            Self::Vectord => "vectord",
            Self::Embedd => "embedd",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A part of the gateway's path space that a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount {
    /// The first segment after `/v1/`; what follows it is the service's.
    pub segment: &'static str,
    /// Who answers.
    pub service: Service,
    /// Bytes at the front of the path that the service does not see.
    pub strip: usize,
}

const V1: &str = "/v1";

const fn mount(segment: &'static str, service: Service) -> Mount {
    Mount { segment, service, strip: V1.len() }
}

impl Mount {
    /// Every mount. `embeddings` and `models` keep their `/v1`: these are OpenAI's own paths, and
    /// embedd serves them as such.
    pub const ALL: [Self; 8] = [
        mount("storage", Service::Storaged),
        mount("vectors", Service::Vectord),
        mount("sql", Service::Queryd),
        mount("ingest", Service::Ingestd),
        mount("catalog", Service::Catalogd),
        mount("embed", Service::Embedd),
        Self { segment: "embeddings", service: Service::Embedd, strip: 0 },
        Self { segment: "models", service: Service::Embedd, strip: 0 },
    ];

    /// The routes of it: its own path, with and without a slash at the end, and all below.
    #[must_use]
    pub fn routes(self) -> [String; 3] {
        let path = format!("{V1}/{}", self.segment);
        [format!("{path}/"), format!("{path}/{{*rest}}"), path]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_stands_at_its_discriminant_and_is_mounted() {
        for (place, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(service as usize, place);
            assert!(Mount::ALL.iter().any(|mount| mount.service == service), "{service}");
        }
    }
}
