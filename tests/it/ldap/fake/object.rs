//! What the server holds: names, attributes, and what an Active Directory makes of them.

/// One object of the directory.
#[derive(Debug, Clone, Default)]
pub(in crate::ldap) struct Object {
    pub(in crate::ldap) dn: String,
    pub(in crate::ldap) attributes: Vec<(String, Vec<Vec<u8>>)>,
    /// Shown only to those who ask for deleted objects.
    pub(in crate::ldap) deleted: bool,
}

impl Object {
    pub(in crate::ldap) fn new(dn: &str, attributes: &[(&str, &str)]) -> Self {
        let mut object = Self {
            dn: dn.to_owned(),
            ..Self::default()
        };
        for (name, value) in attributes {
            object.add(name, value.as_bytes());
        }
        object
    }

    /// Adds a value.
    pub(in crate::ldap) fn add(&mut self, name: &str, value: &[u8]) {
        let own = self.attributes.iter_mut();
        let mut own = own.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        match own.next() {
            Some((_, values)) => values.push(value.to_vec()),
            None => self
                .attributes
                .push((name.to_owned(), vec![value.to_vec()])),
        }
    }

    /// Gives an attribute just these values.
    pub(in crate::ldap) fn set(&mut self, name: &str, values: &[&str]) {
        self.attributes
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        for value in values {
            self.add(name, value.as_bytes());
        }
    }

    /// The values of an attribute.
    pub(in crate::ldap) fn values(&self, name: &str) -> &[Vec<u8>] {
        let own = self.attributes.iter();
        let mut own = own.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        own.next().map_or(&[], |(_, values)| values)
    }

    /// Whether there is such an attribute.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    /// Whether it is the base or below it.
    pub(super) fn is_within(&self, base: &str) -> bool {
        let (dn, base) = (self.dn.to_lowercase(), base.to_lowercase());
        dn == base || base.is_empty() || dn.ends_with(&format!(",{base}"))
    }
}
