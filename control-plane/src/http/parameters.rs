//! Query parameters. Unknown ones are ignored, as clients of newer versions may send them.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::error::ApiError;
use crate::domain::page::{self, PageError, PageRequest};

/// Values of one repeated parameter at most.
pub const MAX_REPEATED_VALUES: usize = 100;
/// Characters of a value at most.
const MAX_VALUE_CHARS: usize = 1_024;

/// The query parameters of a request.
pub struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(parameters) = query.map_err(|_| ApiError::bad_request("the query string cannot be read"))?;
        for (name, value) in &parameters {
            if value.chars().count() > MAX_VALUE_CHARS || value.contains('\0') {
                let name: String = name.chars().take(64).collect();
                return Err(ApiError::bad_parameter(&name, "the value is too long or has a zero character"));
            }
        }
        Ok(Self(parameters))
    }
}

impl Parameters {
    /// The first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a repeatable parameter.
    pub fn all(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let values: Vec<String> =
            self.0.iter().filter(|(candidate, _)| candidate == name).map(|(_, value)| value.clone()).collect();
        if values.len() > MAX_REPEATED_VALUES {
            let detail = format!("{name} may be repeated {MAX_REPEATED_VALUES} times at most");
            return Err(ApiError::bad_parameter(name, detail));
        }
        Ok(values)
    }

    /// A parameter that must be there and be an id.
    pub fn required_id<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        let text = match self.first(name) {
            None | Some("") => {
                return Err(ApiError::bad_parameter(name, format!("the query parameter {name} is required")));
            }
            Some(text) => text,
        };
        text.parse().map_err(|_| ApiError::not_found())
    }

    /// `page_size` and `page_token`.
    pub fn page(&self) -> Result<PageRequest, ApiError> {
        self.page_of_at_most(page::MAX_PAGE_SIZE)
    }

    /// `page_size` and `page_token` of a list whose pages may be larger.
    pub fn page_of_at_most(&self, max: u32) -> Result<PageRequest, ApiError> {
        page::parse(max, self.first("page_size"), self.first("page_token")).map_err(|error| match error {
            PageError::Size { .. } => ApiError::bad_parameter("page_size", error.to_string()),
            PageError::Token => ApiError::bad_parameter("page_token", error.to_string()),
        })
    }

    /// The parameters that select rows: all but those that select the page.
    pub fn filters(&self) -> impl Iterator<Item = (&str, &str)> {
        let filters = self.0.iter().filter(|(name, _)| name != "page_token" && name != "page_size");
        filters.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
