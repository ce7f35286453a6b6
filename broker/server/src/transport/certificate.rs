//! Whom a certificate names.

use std::path::Path;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Any, Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::config::CertificateName;

/// RFC 5280, appendix A: id-at-commonName.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The part of the certificate that names a user. None: there is no such part, or it is empty, or no UTF-8.
pub(super) fn name(certificate: &[u8], part: CertificateName) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let name = match part {
        CertificateName::CommonName => certificate
            .subject
            .0
            .iter()
            .flat_map(|relative| relative.0.iter())
            .find(|attribute| attribute.oid == COMMON_NAME)
            .and_then(|attribute| text(&attribute.value)),
        CertificateName::DistinguishedName => Some(certificate.subject.to_string()),
        CertificateName::SanDns | CertificateName::SanEmail | CertificateName::SanUri => {
            let (_, SubjectAltName(names)) = certificate.get().ok()??;
            names.iter().find_map(|name| match (part, name) {
                (CertificateName::SanDns, GeneralName::DnsName(name)) | (CertificateName::SanEmail, GeneralName::Rfc822Name(name)) => {
                    Some(name.to_string())
                }
                (CertificateName::SanUri, GeneralName::UniformResourceIdentifier(name)) => Some(name.to_string()),
                _ => None,
            })
        }
    };
    name.filter(|name| !name.is_empty())
}

/// When the certificates in a file (PEM) end. What cannot be read ends never, as far as anybody knows.
pub(crate) fn certificate_ends(file: &Path) -> Vec<SystemTime> {
    let certificates = CertificateDer::pem_file_iter(file).into_iter().flatten().flatten();
    let end = |der: CertificateDer<'_>| {
        let certificate = Certificate::from_der(&der).ok()?;
        Some(SystemTime::UNIX_EPOCH + certificate.tbs_certificate.validity.not_after.to_unix_duration())
    };
    certificates.filter_map(end).collect()
}

/// RFC 5280, 4.1.2.4: DirectoryString, and the IA5String that some put in its place.
fn text(value: &Any) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok()?.as_str().to_owned(),
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_names_nobody() {
        for octets in [&b""[..], b"\x30\x00", b"\x30\x82\xff\xff", b"AMQP\0\0\x09\x01"] {
            assert_eq!(name(octets, CertificateName::CommonName), None);
        }
    }
}
