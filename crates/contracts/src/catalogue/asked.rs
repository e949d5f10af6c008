//! What a request may ask of a template: features, integrations, customisations.

use serde_json::{Map, Value};

use super::{Customisations, Template};
use crate::pointer;

impl Template {
    /// The feature by the template's own spelling, where a tenant of this plan has it or may ask for it. Case does not
    /// matter, and spaces and underscores are hyphens.
    pub fn feature(&self, asked: &str) -> Option<&str> {
        let asked = reduced(asked);
        self.askable().find(|name| reduced(name) == asked)
    }

    /// The features that a tenant of this plan has or may ask for, in order, each once.
    pub fn features_to_ask(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.askable().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The integration by the template's own spelling, where a tenant of this plan may ask for it.
    pub fn integration(&self, asked: &str) -> Option<&str> {
        let asked = reduced(asked);
        self.integrations.iter().map(String::as_str).find(|name| reduced(name) == asked)
    }

    /// The encryption that a tenant of this plan gets: what it asks for, never less than the template's. `None` where
    /// it asks for something else than `standard` or `enhanced`.
    pub fn encryption_for(&self, asked: Option<&str>) -> Option<&'static str> {
        match asked {
            None | Some("standard") if self.encryption == "standard" => Some("standard"),
            None | Some("standard" | "enhanced") => Some("enhanced"),
            Some(_) => None,
        }
    }

    fn askable(&self) -> impl Iterator<Item = &str> {
        let on = self.features.iter().filter(|(_, on)| **on).map(|(name, _)| name.as_str());
        on.chain(self.optional_features.iter().map(String::as_str))
    }
}

impl Customisations {
    /// Whether a request may say what stands at this JSON pointer.
    pub fn allows(&self, pointer: &str) -> bool {
        self.allowed.iter().any(|outer| pointer::within(pointer, outer))
    }
}

/// Everything that a customisation says, with the JSON pointer to it. A list is one value; an object without members
/// says nothing.
pub fn said(customisation: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut said = Vec::new();
    walk(customisation, "", &mut said);
    said
}

fn walk<'a>(object: &'a Map<String, Value>, at: &str, said: &mut Vec<(String, &'a Value)>) {
    for (name, value) in object {
        let mut place = at.to_owned();
        pointer::push(&mut place, name);
        match value {
            Value::Object(inner) => walk(inner, &place, said),
            _ => said.push((place, value)),
        }
    }
}

fn reduced(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '_'], "-")
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use super::*;

    #[test]
    fn a_feature_is_asked_for_in_any_spelling_where_the_plan_has_it() {
        let catalogue = Catalogue::built_in();
        let [starter, enterprise] = ["starter", "enterprise"].map(|plan| catalogue.newest(plan).unwrap());
        assert_eq!(enterprise.feature("Audit Export"), Some("audit_export"));
        assert_eq!(enterprise.feature("data lake"), Some("data-lake"));
        assert_eq!(starter.feature("exports"), Some("exports"), "off, and may be asked for");
        assert_eq!(starter.feature("sso"), None, "off, and not for this plan");
        assert_eq!(starter.features_to_ask(), ["dashboards", "exports"]);
        assert_eq!((starter.integration("WEBHOOK"), starter.integration("ldap")), (Some("webhook"), None));
    }

    #[test]
    fn encryption_is_never_less_than_the_templates() {
        let catalogue = Catalogue::built_in();
        let of = |plan: &str, asked| catalogue.newest(plan).unwrap().encryption_for(asked);
        assert_eq!(
            (of("starter", None), of("starter", Some("enhanced"))),
            (Some("standard"), Some("enhanced"))
        );
        assert_eq!(
            (of("enterprise", None), of("enterprise", Some("standard"))),
            (Some("enhanced"), Some("enhanced"))
        );
        assert_eq!(of("starter", Some("none")), None);
    }

    #[test]
    fn what_is_said_is_found_with_its_place() {
        let text = r#"{"branding":{"a/b":1,"empty":{}},"settings":{"list":[{"x":1}],"no":null}}"#;
        let object: Map<String, Value> = serde_json::from_str(text).unwrap();
        let places: Vec<_> = said(&object).into_iter().map(|(at, _)| at).collect();
        assert_eq!(places, ["/branding/a~1b", "/settings/list", "/settings/no"]);
        let starter = Catalogue::built_in().newest("starter").unwrap().customisations.clone();
        assert!(starter.allows("/branding/primaryColor") && starter.allows("/settings/locale/x"));
        assert!(!starter.allows("/branding") && !starter.allows("/branding/primaryColors"));
    }
}
