//! CRC-32C, the checksum at the end of a stored index.
//!
//! Castagnoli's polynomial 0x1EDC6F41, bits reflected (0x82F63B78), initial value and final
//! exclusive-or 0xFFFFFFFF; the checksum of the nine bytes `123456789` is 0xE3069283. Eight
//! tables let eight bytes be taken in one step.

const POLYNOMIAL_REFLECTED: u32 = 0x82F6_3B78;

/// `TABLES[t][b]`: the effect of byte `b` followed by `t` zero bytes.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL_REFLECTED } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut t = 1;
    while t < 8 {
        let mut byte = 0;
        while byte < 256 {
            let shorter = tables[t - 1][byte];
            tables[t][byte] = (shorter >> 8) ^ tables[0][(shorter & 0xFF) as usize];
            byte += 1;
        }
        t += 1;
    }
    tables
}

/// The checksum of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut crc = u32::MAX;
    for eight in eights {
        let mixed = u64::from_le_bytes(*eight) ^ u64::from(crc);
        crc = mixed
            .to_le_bytes()
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |sum, (&byte, table)| sum ^ table[usize::from(byte)]);
    }
    for &byte in rest {
        crc = (crc >> 8) ^ TABLES[0][(crc as u8 ^ byte) as usize];
    }
    !crc
}
