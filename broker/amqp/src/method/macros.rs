//! What the table of methods is turned into: a struct for each method, in a module for each class, and the enum of all of them.

/// Takes the whole table; see `method/mod.rs` for its form.
macro_rules! methods {
    ($(
        $(#[$class_doc:meta])*
        class $class:ident = $class_id:literal {
            $(
                $(#[$doc:meta])*
                $id:literal $wire_name:literal $variant:ident($name:ident $(<$lt:lifetime>)?) {
                    $( $([$reserved:ty])* $field:ident: $ty:ty $(as $domain:ident)? = $field_doc:literal, )*
                    $( ; $([$last_reserved:ty])+ )?
                }
            )*
        }
    )*) => {
        $(
            $(#[$class_doc])*
            pub mod $class {
                use crate::method::Method;
                #[allow(unused_imports)] // Not every class has every domain, or fields at all.
                use crate::wire::{Domain, Reader, Writer, read_as};
                #[cfg(test)]
                #[allow(unused_imports)] // Likewise.
                use crate::wire::kind_of;
                use crate::{Fault, WireError};
                #[allow(unused_imports)] // Likewise.
                use crate::{RawTable, ShortStr};

                /// The number of the class.
                pub const CLASS: u16 = $class_id;

                $(
                    $(#[$doc])*
                    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
                    pub struct $name $(<$lt>)? {
                        $( #[doc = $field_doc] pub $field: $ty, )*
                    }

                    impl $(<$lt>)? $name $(<$lt>)? {
                        /// The numbers of class and method.
                        pub const ID: (u16, u16) = ($class_id, $id);
                        /// Its name in the specification.
                        pub const NAME: &'static str = $wire_name;

                        #[cfg(test)]
                        pub(super) const LAYOUT: crate::wire::Layout = &[
                            $( $( ("reserved", <$reserved as Domain>::KIND), )* (stringify!($field), kind_of!($ty $(, $domain)?)), )*
                            $( $( ("reserved", <$last_reserved as Domain>::KIND), )+ )?
                        ];

                        #[inline]
                        #[allow(unused_variables, clippy::needless_lifetimes)] // Not every method has fields.
                        pub(super) fn read<'read $(: $lt)?>(reader: &mut Reader<'read>) -> Result<Self, WireError> {
                            let fault = |field, fault| WireError::Field { class: $class_id, method: $id, field, fault };
                            $(
                                $( <$reserved as Domain>::read(reader).map_err(|f| fault("reserved", f))?; )*
                                let $field = read_as!(reader, $ty $(, $domain)?).map_err(|f| fault(stringify!($field), f))?;
                            )*
                            $( $( <$last_reserved as Domain>::read(reader).map_err(|f| fault("reserved", f))?; )+ )?
                            match reader.rest().len() {
                                0 => Ok(Self { $($field,)* }),
                                n => Err(fault("(end)", Fault::Trailing(n))),
                            }
                        }

                        #[inline]
                        #[allow(unused_variables)] // Not every method has fields.
                        pub(super) fn write(&self, writer: &mut Writer<'_>) {
                            $(
                                $( <$reserved>::default().write(writer); )*
                                self.$field.write(writer);
                            )*
                            $( $( <$last_reserved>::default().write(writer); )+ )?
                        }
                    }

                    impl<'any $(, $lt: 'any)?> From<$name $(<$lt>)?> for Method<'any> {
                        fn from(method: $name $(<$lt>)?) -> Self {
                            Method::$variant(method)
                        }
                    }
                )*
            }
        )*

        /// Any method. Borrows from the buffer that it was read from.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method<'a> {
            $($( #[doc = concat!("`", $wire_name, "`")] $variant($class::$name $(<$lt>)?), )*)*
        }

        impl<'a> Method<'a> {
            /// The numbers of every method's class and method, in ascending order.
            pub const IDS: &'static [(u16, u16)] = &[ $($( ($class_id, $id), )*)* ];

            pub(super) fn read(class: u16, method: u16, reader: &mut Reader<'a>) -> Result<Self, WireError> {
                match (class, method) {
                    $($( ($class_id, $id) => $class::$name::read(reader).map(Self::$variant), )*)*
                    $( ($class_id, _) => Err(WireError::UnknownMethod { class, method }), )*
                    _ => Err(WireError::UnknownClass { class, method }),
                }
            }

            pub(super) fn write(&self, writer: &mut Writer<'_>) {
                match self {
                    $($( Self::$variant(method) => method.write(writer), )*)*
                }
            }

            /// The numbers of its class and of itself.
            #[must_use]
            pub fn id(&self) -> (u16, u16) {
                match self {
                    $($( Self::$variant(_) => ($class_id, $id), )*)*
                }
            }

            /// Its name in the specification: `queue.declare`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $($( Self::$variant(_) => $wire_name, )*)*
                }
            }
        }

        /// The domains of a method's fields in their order, reserved ones included.
        #[cfg(test)]
        pub(crate) fn layout_of(class: u16, method: u16) -> crate::wire::Layout {
            match (class, method) {
                $($( ($class_id, $id) => $class::$name::LAYOUT, )*)*
                _ => &[],
            }
        }

        /// The name of the method with these numbers: `queue.declare`.
        #[must_use]
        pub fn name_of(class: u16, method: u16) -> Option<&'static str> {
            match (class, method) {
                $($( ($class_id, $id) => Some($wire_name), )*)*
                _ => None,
            }
        }
    };
}

pub(crate) use methods;
