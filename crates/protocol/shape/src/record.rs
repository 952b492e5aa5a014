//! Declares what a service stores.

/// Declares a structure with its schema and its walk, in one place.
///
/// Members are stored by position, so a field may be appended (old bytes read as its default) and must never be moved or
/// removed; a change that does more is a new record type with the old one as its predecessor.
///
/// ```
/// coffer_shape::record! {
///     /// A label and the version it stands on.
///     pub struct Label {
///         pub name: String,
///         pub version: Option<String>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        $visibility struct $name {
            $($(#[$field_meta])* $field_visibility $field: $type),*
        }

        const _: () = {
            static MEMBERS: &[$crate::Member] = &[$($crate::Member {
                name: stringify!($field),
                wire: stringify!($field),
                required: false,
                schema: <$type as $crate::Shape>::SCHEMA,
            }),*];
            static SCHEMA: $crate::Schema =
                $crate::Schema::plain(stringify!($name), $crate::Kind::Structure(MEMBERS));

            impl $crate::Shape for $name {
                const SCHEMA: &'static $crate::Schema = &SCHEMA;

                fn read_as(
                    _: &'static $crate::Schema,
                    from: &mut dyn $crate::Reader,
                ) -> $crate::Read<Self> {
                    let mut value = Self::default();
                    from.structure(&SCHEMA, &mut |index, from| {
                        let mut at = 0_usize;
                        $(
                            if index == at {
                                value.$field = $crate::Shape::read(from)?;
                                return Ok(());
                            }
                            at += 1;
                        )*
                        let _ = at;
                        Ok(())
                    })?;
                    Ok(value)
                }

                fn write_as(
                    &self,
                    _: &'static $crate::Schema,
                    to: &mut dyn $crate::Writer,
                ) -> $crate::Wrote {
                    to.structure(&SCHEMA, &mut |to| {
                        let mut members = MEMBERS.iter().enumerate();
                        $(
                            if let Some((index, member)) = members.next() {
                                to.member(index, member)?;
                                $crate::Shape::write(&self.$field, to)?;
                            }
                        )*
                        Ok(())
                    })
                }
            }
        };
    };
}
