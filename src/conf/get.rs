//! Reading a [`Conf`] by name, as `SparkConf` is read.
//!
//! The unit in a method's name is that of a bare number and of the result. A value that cannot be
//! read is an error that names the key, as Spark's `Illegal value for config key …`.

use super::error::ConfError;
use super::map::Conf;
use super::size::{ByteUnit, parse_size};
use super::time::{TimeUnit, parse_time};
use super::value::{ConfigValue, Kind, ValueError};

impl Conf {
    /// The text that a key is set to (Spark: `get(key)`).
    ///
    /// # Errors
    /// [`ConfError::NotSet`]; or the text set under an old key cannot be translated.
    pub fn get(&self, key: &str) -> Result<String, ConfError> {
        self.get_option(key)?.ok_or_else(|| ConfError::not_set(key))
    }

    /// The text that a key is set to, or `default`.
    ///
    /// # Errors
    /// If the text set under an old key cannot be translated.
    pub fn get_or(&self, key: &str, default: &str) -> Result<String, ConfError> {
        Ok(self.get_option(key)?.unwrap_or_else(|| default.to_owned()))
    }

    /// The text that a key is set to, if any (Spark: `getOption`).
    ///
    /// # Errors
    /// If the text set under an old key cannot be translated.
    pub fn get_option(&self, key: &str) -> Result<Option<String>, ConfError> {
        Ok(self.find(key)?.map(|found| found.text))
    }

    /// Everything that is set, by key (Spark: `getAll`).
    pub fn get_all(&self) -> Vec<(String, String)> {
        let pairs = self.iter();
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Everything whose key begins with `prefix`, without the prefix.
    pub fn get_all_with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let pairs = self.iter().filter_map(|(key, value)| {
            let rest = key.strip_prefix(prefix)?;
            Some((rest.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }

    /// A number of 32 bits (Spark: `getInt`).
    ///
    /// # Errors
    /// If the text that is set is not such a number.
    pub fn get_int(&self, key: &str, default: i32) -> Result<i32, ConfError> {
        self.get_parsed(key, default, |text| {
            text.parse().map_err(|_| for_input(text))
        })
    }

    /// A number of 64 bits (Spark: `getLong`).
    ///
    /// # Errors
    /// If the text that is set is not such a number.
    pub fn get_long(&self, key: &str, default: i64) -> Result<i64, ConfError> {
        self.get_parsed(key, default, |text| {
            text.parse().map_err(|_| for_input(text))
        })
    }

    /// A number with a fraction (Spark: `getDouble`).
    ///
    /// # Errors
    /// If the text that is set is not such a number.
    pub fn get_double(&self, key: &str, default: f64) -> Result<f64, ConfError> {
        self.get_parsed(key, default, |text| {
            text.trim().parse().map_err(|_| for_input(text))
        })
    }

    /// `true` or `false`, in any case (Spark: `getBoolean`).
    ///
    /// # Errors
    /// If the text that is set is neither.
    pub fn get_bool(&self, key: &str, default: bool) -> Result<bool, ConfError> {
        self.get_parsed(key, default, |text| {
            bool::parse(text, Kind::Bool).map_err(|_| for_input(text))
        })
    }

    /// A time in whole seconds.
    ///
    /// # Errors
    /// [`ConfError::NotSet`], or what is set is no time.
    pub fn get_time_as_seconds(&self, key: &str) -> Result<i64, ConfError> {
        self.get_time(key, None, TimeUnit::Seconds)
    }

    /// A time in whole seconds, or `default`, which is read alike.
    ///
    /// # Errors
    /// It is no time.
    pub fn get_time_as_seconds_or(&self, key: &str, default: &str) -> Result<i64, ConfError> {
        self.get_time(key, Some(default), TimeUnit::Seconds)
    }

    /// A time in whole milliseconds.
    ///
    /// # Errors
    /// [`ConfError::NotSet`], or what is set is no time.
    pub fn get_time_as_ms(&self, key: &str) -> Result<i64, ConfError> {
        self.get_time(key, None, TimeUnit::Millis)
    }

    /// A time in whole milliseconds, or `default`, which is read alike.
    ///
    /// # Errors
    /// It is no time.
    pub fn get_time_as_ms_or(&self, key: &str, default: &str) -> Result<i64, ConfError> {
        self.get_time(key, Some(default), TimeUnit::Millis)
    }

    /// A size in bytes.
    ///
    /// # Errors
    /// [`ConfError::NotSet`], or what is set is no size.
    pub fn get_size_as_bytes(&self, key: &str) -> Result<u64, ConfError> {
        self.get_size(key, None, ByteUnit::Byte)
    }

    /// A size in bytes, or `default`, which is read alike.
    ///
    /// # Errors
    /// It is no size.
    pub fn get_size_as_bytes_or(&self, key: &str, default: &str) -> Result<u64, ConfError> {
        self.get_size(key, Some(default), ByteUnit::Byte)
    }

    /// A size in whole KiB.
    ///
    /// # Errors
    /// [`ConfError::NotSet`], or what is set is no size.
    pub fn get_size_as_kb(&self, key: &str) -> Result<u64, ConfError> {
        self.get_size(key, None, ByteUnit::KiB)
    }

    /// A size in whole KiB, or `default`, which is read alike.
    ///
    /// # Errors
    /// It is no size.
    pub fn get_size_as_kb_or(&self, key: &str, default: &str) -> Result<u64, ConfError> {
        self.get_size(key, Some(default), ByteUnit::KiB)
    }

    /// A size in whole MiB.
    ///
    /// # Errors
    /// [`ConfError::NotSet`], or what is set is no size.
    pub fn get_size_as_mb(&self, key: &str) -> Result<u64, ConfError> {
        self.get_size(key, None, ByteUnit::MiB)
    }

    /// A size in whole MiB, or `default`, which is read alike.
    ///
    /// # Errors
    /// It is no size.
    pub fn get_size_as_mb_or(&self, key: &str, default: &str) -> Result<u64, ConfError> {
        self.get_size(key, Some(default), ByteUnit::MiB)
    }

    /// A size in whole GiB.
    ///
    /// # Errors
    /// [`ConfError::NotSet`], or what is set is no size.
    pub fn get_size_as_gb(&self, key: &str) -> Result<u64, ConfError> {
        self.get_size(key, None, ByteUnit::GiB)
    }

    /// A size in whole GiB, or `default`, which is read alike.
    ///
    /// # Errors
    /// It is no size.
    pub fn get_size_as_gb_or(&self, key: &str, default: &str) -> Result<u64, ConfError> {
        self.get_size(key, Some(default), ByteUnit::GiB)
    }

    fn get_time(&self, key: &str, default: Option<&str>, unit: TimeUnit) -> Result<i64, ConfError> {
        self.get_text(key, default, |text| parse_time(text, unit))
    }

    fn get_size(&self, key: &str, default: Option<&str>, unit: ByteUnit) -> Result<u64, ConfError> {
        self.get_text(key, default, |text| parse_size(text, unit))
    }

    fn get_parsed<T>(
        &self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfError> {
        match self.find(key)? {
            None => Ok(default),
            Some(found) => {
                let value = parse(&found.text);
                value.map_err(|cause| ConfError::illegal(key, found.key, cause))
            }
        }
    }

    fn get_text<T>(
        &self,
        key: &str,
        default: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfError> {
        let found = self.find(key)?;
        let set_as = found.as_ref().map_or(key, |found| found.key);
        let text = found.as_ref().map(|found| found.text.as_str());
        let text = text.or(default).ok_or_else(|| ConfError::not_set(key))?;
        parse(text).map_err(|cause| ConfError::illegal(key, set_as, cause))
    }
}

fn for_input(text: &str) -> ValueError {
    ValueError::new(format!("For input string: \"{text}\""))
}
