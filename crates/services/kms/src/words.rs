//! Words of AWS that we decide by: closed here, texts in what is stored.

/// An enumeration whose variants are stored and shown as AWS spells them. The first is the default.
macro_rules! words {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $(#[$first_meta:meta])* $first:ident = $first_text:literal,
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        $visibility enum $name {
            $(#[$first_meta])*
            #[default]
            $first,
            $($(#[$variant_meta])* $variant),*
        }

        impl $name {
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_text,
                    $(Self::$variant => $text),*
                }
            }

            /// None for what is not offered here, whatever the model admits.
            pub(crate) fn parse(text: &str) -> Option<Self> {
                match text {
                    $first_text => Some(Self::$first),
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl coffer_shape::Shape for $name {
            const SCHEMA: &'static coffer_shape::Schema = <String as coffer_shape::Shape>::SCHEMA;

            fn read_as(
                schema: &'static coffer_shape::Schema,
                from: &mut dyn coffer_shape::Reader,
            ) -> coffer_shape::Read<Self> {
                let text = from.string(schema)?;
                Self::parse(&text).ok_or_else(|| {
                    coffer_shape::ReadError::new(concat!("not a ", stringify!($name), " that this version knows"))
                })
            }

            fn write_as(
                &self,
                schema: &'static coffer_shape::Schema,
                to: &mut dyn coffer_shape::Writer,
            ) -> coffer_shape::Wrote {
                to.string(schema, self.as_str())
            }
        }
    };
}

pub(crate) use words;
