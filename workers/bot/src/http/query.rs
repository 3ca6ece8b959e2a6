//! Reads query strings. An error names the parameter that is wrong.

use std::{borrow::Cow, fmt, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use perch_base::Paging;
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer, SeqAccess, Visitor,
        value::{Error, MapDeserializer},
    },
    forward_to_deserialize_any,
};
use url::form_urlencoded;

use super::problem::{ApiResult, Cause, Problem};

/// A query string, read as `T`. NUL characters are refused, because Postgres cannot store them.
#[derive(Debug, Clone)]
pub struct Params<T>(pub T);

/// The query string of a list: its filter, read as `T`, and the page.
#[derive(Debug, Clone)]
pub struct Paged<T>(pub T, pub Paging);

/// The filter of a list that has none.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        read(pairs(parts)?).map(Self)
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Paged<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let (paging, rest) = pairs(parts)?.into_iter().partition(|(name, _)| matches!(&**name, "cursor" | "limit"));
        Ok(Self(read(rest)?, read(paging)?))
    }
}

type Param<'a> = (Cow<'a, str>, ParamValues<'a>);

/// The parameters, each with all its values.
fn pairs(parts: &Parts) -> ApiResult<Vec<Param<'_>>> {
    let mut pairs: Vec<Param<'_>> = Vec::new();
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        if value.contains('\0') {
            return Err(wrong(&name, "it has a NUL character, which no text here has"));
        }
        match pairs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.0.push(value),
            None => pairs.push((name, ParamValues(vec![value]))),
        }
    }
    Ok(pairs)
}

fn read<T: DeserializeOwned>(pairs: Vec<Param<'_>>) -> ApiResult<T> {
    let reader = MapDeserializer::<_, Error>::new(pairs.into_iter());
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let name = error.path().iter().next().map(ToString::to_string).unwrap_or_default();
        let reason = error.into_inner().to_string();
        if name.is_empty() { Problem::new(Cause::InvalidQuery, reason) } else { wrong(&name, &reason) }
    })
}

fn wrong(name: &str, reason: &str) -> Problem {
    Problem::field(Cause::InvalidQuery, name.chars().take(80).collect::<String>(), reason)
}

/// The values of a parameter. Only a list may have several.
struct ParamValues<'a>(Vec<Cow<'a, str>>);

impl<'a> ParamValues<'a> {
    fn one(self) -> Result<Cow<'a, str>, Error> {
        let times = self.0.len();
        let mut values = self.0.into_iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(Error::custom(format!("it is given {times} times; give it once"))),
        }
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(self, expected: &str) -> Result<T, Error> {
        let text = self.one()?;
        text.parse().map_err(|_| {
            let given: String = text.chars().take(40).collect();
            Error::custom(format!("{given:?} is no {expected}"))
        })
    }
}

impl IntoDeserializer<'_> for ParamValues<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($read:ident => $visit:ident),*) => {
        $(fn $read<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.parsed("number that is allowed here")?)
        })*
    };
}

impl<'de> Deserializer<'de> for ParamValues<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(&self.one()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.parsed("truth value; write true or false")?)
    }

    numbers! {
        deserialize_i8 => visit_i8, deserialize_i16 => visit_i16, deserialize_i32 => visit_i32, deserialize_i64 => visit_i64,
        deserialize_u8 => visit_u8, deserialize_u16 => visit_u16, deserialize_u32 => visit_u32, deserialize_u64 => visit_u64,
        deserialize_f32 => visit_f32, deserialize_f64 => visit_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.one()?.into_deserializer())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(ValueList(self.0.into_iter()))
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

struct ValueList<'a>(std::vec::IntoIter<Cow<'a, str>>);

impl<'de> SeqAccess<'de> for ValueList<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|value| seed.deserialize(ParamValues(vec![value]))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        Small,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        name: Vec<String>,
        size: Option<Size>,
        count: Option<u8>,
        #[serde(default)]
        all: bool,
    }

    async fn paged(query: &str) -> ApiResult<Paged<Sample>> {
        let (mut parts, ()) = Request::get(format!("/list?{query}")).body(()).expect("a request").into_parts();
        Paged::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_query_says_which_rows_and_which_page_and_lists_may_be_given_several_times() {
        let Paged(sample, paging) =
            paged("name=a%20b&limit=7&name=c&size=small&count=3&all=true").await.expect("a query");
        let expected =
            Sample { name: vec!["a b".into(), "c".into()], size: Some(Size::Small), count: Some(3), all: true };
        assert_eq!((sample, paging.limit), (expected, Some(7)));
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_query_is_said_with_the_name_of_the_parameter() {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("cursor=x", "cursor"),
            ("cursor=", "cursor"),
            ("limit=1&limit=2", "limit"),
            ("count=256", "count"),
            ("count=1&count=1", "count"),
            ("size=large", "size"),
            ("all=yes", "all"),
            ("nmae=a", "nmae"),
            ("name=%00", "name"),
        ] {
            let document = paged(query).await.expect_err(query).into_document();
            assert_eq!((document.status, document.errors[0].field.as_str()), (400, field), "{document:?}");
            assert!(!document.errors[0].reason.is_empty(), "{document:?}");
        }
    }
}
