//! serde's `Deserializer` over a [`Value`]: members are read by their names, and handed to the derive in their order.

use std::{slice, vec};

use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor},
    forward_to_deserialize_any,
};

use crate::wire::{
    FLAT, Mismatch, STRICT, Value,
    text::{Text, listed},
};

/// What is past the whole numbers that JavaScript holds exactly.
const TOO_LARGE: f64 = 9_007_199_254_740_992.0;

/// A value, or none where a member is absent.
pub(super) struct Reader<'a, V>(pub(super) Option<&'a V>);

impl<'a, V: Value> Reader<'a, V> {
    fn boolean(&self) -> Result<bool, Mismatch> {
        self.0.and_then(V::as_boolean).ok_or_else(|| Mismatch::new("is not a boolean"))
    }

    fn number(&self) -> Result<f64, Mismatch> {
        self.0.and_then(V::as_number).filter(|number| number.is_finite()).ok_or_else(|| Mismatch::new("is not a number"))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and within 0..2^53")]
    fn whole(&self, most: u64) -> Result<u64, Mismatch> {
        match self.0.and_then(V::as_number) {
            Some(number) if number.fract() == 0.0 && (0.0..TOO_LARGE).contains(&number) => match number as u64 {
                number if number <= most => Ok(number),
                _ => Err(Mismatch::new("is too large")),
            },
            _ => Err(Mismatch::new("is not a non-negative integer")),
        }
    }

    fn text(&self) -> Result<String, Mismatch> {
        self.0.and_then(V::as_text).ok_or_else(|| Mismatch::new("is not a string, or is too long"))
    }

    fn items(&self) -> Result<Items<V>, Mismatch> {
        let list = self.0.and_then(V::as_list).ok_or_else(|| Mismatch::new("is not an array, or is too long"))?;
        Ok(Items(list.into_iter(), 0))
    }

    fn tuple(&self, len: usize) -> Result<Items<V>, Mismatch> {
        let list = self.0.and_then(V::as_list).filter(|list| list.len() == len).ok_or_else(|| Mismatch::new("is not a pair"))?;
        Ok(Items(list.into_iter(), 0))
    }

    fn object(&self) -> Result<&'a V, Mismatch> {
        self.0.filter(|value| value.is_object()).ok_or_else(|| Mismatch::new("is not an object"))
    }

    fn entries(&self) -> Result<Entries<'a, V>, Mismatch> {
        let object = self.object()?;
        Ok(Entries { object, names: object.names().into_iter(), name: String::new() })
    }

    fn members(&self, of: &'static str, names: &'static [&'static str]) -> Result<Members<'a, V>, Mismatch> {
        let object = self.object()?;
        if of.starts_with(STRICT)
            && let Some(name) = object.names().into_iter().find(|name| !names.contains(&name.as_str()))
        {
            return Err(unknown(&name, names));
        }
        Ok(Members { object, names: names.iter(), name: "", member: None })
    }

    fn variant(&self, names: &'static [&'static str]) -> Result<Variant<V>, Mismatch> {
        let (name, content) = match self.0.and_then(V::as_text) {
            Some(name) => (name, None),
            None => {
                let object = self.object().map_err(|_| not_one_of(names))?;
                let [name] = <[String; 1]>::try_from(object.names()).map_err(|_| not_one_of(names))?;
                let content = object.entry(&name);
                (name, Some(content))
            }
        };
        let found = (0..).zip(names).find(|(_, known)| **known == name);
        let (index, name) = found.ok_or_else(|| not_one_of(names))?;
        Ok(Variant { index, name, content })
    }
}

#[cold]
fn unknown(name: &str, known: &[&str]) -> Mismatch {
    Mismatch::new(&["unknown member; known: ", &listed(known)].text()).within(name)
}

#[cold]
fn not_one_of(names: &[&str]) -> Mismatch {
    let mut reason = "is not one of".to_owned();
    for name in names {
        reason.push(' ');
        reason.push_str(name);
    }
    Mismatch::new(&reason)
}

/// What is wrong with the member `name`.
#[cold]
fn explain(mismatch: Mismatch, name: &str, is_absent: bool) -> Mismatch {
    if is_absent { Mismatch::missing() } else { mismatch }.within(name)
}

impl<'de, V: Value> Deserializer<'de> for Reader<'_, V> {
    type Error = Mismatch;

    /// For types that take values of several kinds: an object and a list come as a deserializer, by `visit_newtype_struct`.
    fn deserialize_any<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        let Some(value) = self.0 else { return visitor.visit_none() };
        if let Some(switch) = value.as_boolean() {
            visitor.visit_bool(switch)
        } else if let Some(text) = value.as_text() {
            visitor.visit_string(text)
        } else if let Ok(number) = self.whole(u64::MAX) {
            visitor.visit_u64(number)
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    /// As [`Self::deserialize_any`], for types whose values may be lists: these come by `visit_seq`.
    fn deserialize_tuple_struct<W: Visitor<'de>>(self, _: &'static str, _: usize, visitor: W) -> Result<W::Value, Mismatch> {
        if self.0.is_some_and(|value| value.as_list().is_some()) {
            visitor.visit_seq(self.items()?)
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_bool<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_bool(self.boolean()?)
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    fn deserialize_u8<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_u8(self.whole(u64::from(u8::MAX))? as u8)
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    fn deserialize_u16<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_u16(self.whole(u64::from(u16::MAX))? as u16)
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    fn deserialize_u32<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_u32(self.whole(u64::from(u32::MAX))? as u32)
    }

    fn deserialize_u64<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_u64(self.whole(u64::MAX)?)
    }

    fn deserialize_f64<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_f64(self.number()?)
    }

    fn deserialize_string<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_option<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        if self.0.is_some() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    /// Whatever there is says nothing.
    fn deserialize_unit<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<W: Visitor<'de>>(self, _: &'static str, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_seq(self.items()?)
    }

    fn deserialize_tuple<W: Visitor<'de>>(self, len: usize, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_seq(self.tuple(len)?)
    }

    fn deserialize_map<W: Visitor<'de>>(self, visitor: W) -> Result<W::Value, Mismatch> {
        visitor.visit_map(self.entries()?)
    }

    fn deserialize_struct<W: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: W,
    ) -> Result<W::Value, Mismatch> {
        let mut members = self.members(name, fields)?;
        visitor.visit_seq(&mut members).map_err(|mismatch| members.place(mismatch))
    }

    fn deserialize_enum<W: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: W,
    ) -> Result<W::Value, Mismatch> {
        visitor.visit_enum(self.variant(variants)?)
    }

    forward_to_deserialize_any! {
        <W: Visitor<'de>>
        i8 i16 i32 i64 i128 u128 f32 char str bytes byte_buf unit_struct identifier ignored_any
    }
}

/// The items of a list, and how many were read.
struct Items<V>(vec::IntoIter<V>, u32);

impl<'de, V: Value> SeqAccess<'de> for Items<V> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        self.1 += 1;
        match self.0.next() {
            Some(item) => seed.deserialize(Reader(Some(&item))).map(Some).map_err(|mismatch| self.explain(mismatch)),
            None => Ok(None),
        }
    }
}

impl<V> Items<V> {
    #[cold]
    fn explain(&self, mismatch: Mismatch) -> Mismatch {
        mismatch.within(&(self.1 - 1).to_string())
    }
}

/// The members of an object, in the order of the type that is read.
struct Members<'a, V> {
    object: &'a V,
    names: slice::Iter<'static, &'static str>,
    /// The member that was read last.
    name: &'static str,
    member: Option<V>,
}

impl<V: Value> Members<'_, V> {
    fn next(&mut self) -> Reader<'_, V> {
        self.name = self.names.next().copied().unwrap_or_default();
        if self.name.starts_with(FLAT) {
            return Reader(Some(self.object));
        }
        self.member = self.object.member(self.name);
        Reader(self.member.as_ref())
    }

    /// None where the member is absent: then the derive takes its default, or fails.
    #[cold]
    fn explain(&self, mismatch: Mismatch) -> Result<(), Mismatch> {
        if self.name.starts_with(FLAT) {
            Err(mismatch)
        } else if self.member.is_none() {
            Ok(())
        } else {
            Err(mismatch.within(self.name))
        }
    }

    /// What the derive itself finds is that the last member has no default.
    #[cold]
    fn place(&self, mismatch: Mismatch) -> Mismatch {
        if mismatch.0.path.is_empty() { mismatch.within(self.name) } else { mismatch }
    }
}

impl<'de, V: Value> SeqAccess<'de> for &mut Members<'_, V> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        match seed.deserialize(self.next()) {
            Ok(value) => Ok(Some(value)),
            Err(mismatch) => self.explain(mismatch).map(|()| None),
        }
    }
}

/// The members of an object that are data themselves, with their names.
struct Entries<'a, V> {
    object: &'a V,
    names: vec::IntoIter<String>,
    name: String,
}

impl<'de, V: Value> MapAccess<'de> for Entries<'_, V> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some(name) = self.names.next() else { return Ok(None) };
        self.name.clone_from(&name);
        seed.deserialize(name.into_deserializer()).map(Some).map_err(|mismatch: Mismatch| mismatch.within(&self.name))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mismatch> {
        let value = self.object.entry(&self.name);
        seed.deserialize(Reader(value.as_ref())).map_err(|mismatch| explain(mismatch, &self.name, value.is_none()))
    }
}

/// One of an enum: its name alone, or an object with what it holds as the one member.
struct Variant<V> {
    index: u32,
    name: &'static str,
    content: Option<Option<V>>,
}

impl<'de, V: Value> EnumAccess<'de> for Variant<V> {
    type Error = Mismatch;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Mismatch> {
        Ok((seed.deserialize(IntoDeserializer::<Mismatch>::into_deserializer(self.index))?, self))
    }
}

impl<'de, V: Value> VariantAccess<'de> for Variant<V> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        if self.content.is_none() { Ok(()) } else { Err(Mismatch::new("holds nothing").within(self.name)) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mismatch> {
        let content = self.content.flatten();
        seed.deserialize(Reader(content.as_ref())).map_err(|mismatch| explain(mismatch, self.name, content.is_none()))
    }

    fn tuple_variant<W: Visitor<'de>>(self, _: usize, _: W) -> Result<W::Value, Mismatch> {
        Err(Mismatch::new("is not a variant of one value"))
    }

    fn struct_variant<W: Visitor<'de>>(self, _: &'static [&'static str], _: W) -> Result<W::Value, Mismatch> {
        Err(Mismatch::new("is not a variant of one value"))
    }
}
