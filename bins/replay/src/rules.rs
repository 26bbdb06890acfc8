use std::path::Path;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::Error;

/// A JSON schema, compiled.
pub(crate) struct JsonSchema {
    schemas: Schemas,
    index: SchemaIndex,
}

/// Violations beyond these say nothing new.
const MOST_VIOLATIONS: usize = 5;

impl JsonSchema {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bad = |why: String| Error::Usage(format!("the schema in {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
        Self::new(serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?).map_err(bad)
    }

    fn new(schema: Value) -> Result<Self, String> {
        const NAME: &str = "urn:replay:answer";
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(NAME, schema).map_err(|e| e.to_string())?;
        let index = compiler.compile(NAME, &mut schemas).map_err(|e| e.to_string())?;
        Ok(Self { schemas, index })
    }

    /// Where `value` breaks the schema, and how.
    pub(crate) fn violations(&self, value: &Value) -> Vec<String> {
        let Err(error) = self.schemas.validate(value, self.index) else { return Vec::new() };
        let mut found = Vec::new();
        let mut waiting = vec![&error];
        while let Some(error) = waiting.pop() {
            if error.causes.is_empty() {
                let place = error.instance_location.to_string();
                let place = if place.is_empty() { "the answer".to_owned() } else { place };
                found.push(format!("{place}: {}", error.kind));
            }
            waiting.extend(error.causes.iter().rev());
        }
        found.truncate(MOST_VIOLATIONS);
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn violations_name_the_place() {
        let schema = json!({
            "type": "object",
            "required": ["risk", "steps"],
            "properties": {"risk": {"enum": ["low", "high"]}, "steps": {"type": "array", "items": {"type": "string"}}},
        });
        let schema = JsonSchema::new(schema).unwrap();
        assert!(schema.violations(&json!({"risk": "low", "steps": ["a"]})).is_empty());
        let violations = schema.violations(&json!({"risk": "some", "steps": ["a", 1]}));
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations.iter().any(|v| v.contains("/risk")) && violations.iter().any(|v| v.contains("/steps/1")));
        assert!(schema.violations(&json!({"risk": "low"}))[0].contains("steps"));
        assert!(JsonSchema::new(json!({"type": 7})).is_err());
    }
}
