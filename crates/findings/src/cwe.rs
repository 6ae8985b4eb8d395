//! The few facts about the Common Weakness Enumeration that merging and SARIF need.

/// Weaknesses that different tools use for the same mistake. Findings of one family at one place are one weakness.
const FAMILIES: &[&[u32]] = &[
    CREDENTIALS,
    &[77, 78, 88],         // command and argument injection
    &[94, 95, 96],         // code injection
    &[89, 564, 943],       // query injection
    &[79, 80, 116],        // cross-site scripting
    &[22, 23, 35, 36, 73], // path traversal
    &[326, 327, 328, 916], // weak cryptography
    &[330, 335, 338],      // weak randomness
    &[215, 489, 1295],     // debug code left in
];

/// Credentials and keys in code or files.
const CREDENTIALS: &[u32] = &[256, 259, 260, 312, 321, 522, 540, 547, 615, 798, 1391];

/// Whether two lists of weaknesses name the same mistake.
pub(crate) fn related(a: &[u32], b: &[u32]) -> bool {
    a.iter().any(|x| {
        b.iter()
            .any(|y| x == y || FAMILIES.iter().any(|f| f.contains(x) && f.contains(y)))
    })
}

/// Whether code that shows this weakness may hold a credential.
pub fn holds_secret(cwe: &[u32]) -> bool {
    cwe.iter().any(|number| CREDENTIALS.contains(number))
}

/// The title of a weakness, for those that source scanners commonly report.
pub fn cwe_name(number: u32) -> Option<&'static str> {
    NAMES
        .binary_search_by_key(&number, |(known, _)| *known)
        .ok()
        .map(|index| NAMES[index].1)
}

/// Sorted by number.
const NAMES: &[(u32, &str)] = &[
    (20, "Improper Input Validation"),
    (22, "Path Traversal"),
    (23, "Relative Path Traversal"),
    (36, "Absolute Path Traversal"),
    (73, "External Control of File Name or Path"),
    (74, "Injection"),
    (77, "Command Injection"),
    (78, "OS Command Injection"),
    (79, "Cross-site Scripting"),
    (80, "Basic Cross-site Scripting"),
    (88, "Argument Injection"),
    (89, "SQL Injection"),
    (90, "LDAP Injection"),
    (91, "XML Injection"),
    (93, "CRLF Injection"),
    (94, "Code Injection"),
    (95, "Eval Injection"),
    (96, "Static Code Injection"),
    (98, "PHP Remote File Inclusion"),
    (113, "HTTP Response Splitting"),
    (116, "Improper Encoding or Escaping of Output"),
    (117, "Improper Output Neutralization for Logs"),
    (
        119,
        "Improper Restriction of Operations within the Bounds of a Memory Buffer",
    ),
    (120, "Classic Buffer Overflow"),
    (121, "Stack-based Buffer Overflow"),
    (122, "Heap-based Buffer Overflow"),
    (124, "Buffer Underwrite"),
    (125, "Out-of-bounds Read"),
    (129, "Improper Validation of Array Index"),
    (134, "Use of Externally-Controlled Format String"),
    (190, "Integer Overflow or Wraparound"),
    (195, "Signed to Unsigned Conversion Error"),
    (200, "Exposure of Sensitive Information to an Unauthorized Actor"),
    (209, "Generation of Error Message Containing Sensitive Information"),
    (215, "Insertion of Sensitive Information Into Debugging Code"),
    (242, "Use of Inherently Dangerous Function"),
    (248, "Uncaught Exception"),
    (250, "Execution with Unnecessary Privileges"),
    (256, "Plaintext Storage of a Password"),
    (259, "Use of Hard-coded Password"),
    (260, "Password in Configuration File"),
    (269, "Improper Privilege Management"),
    (276, "Incorrect Default Permissions"),
    (284, "Improper Access Control"),
    (287, "Improper Authentication"),
    (295, "Improper Certificate Validation"),
    (297, "Improper Validation of Certificate with Host Mismatch"),
    (306, "Missing Authentication for Critical Function"),
    (311, "Missing Encryption of Sensitive Data"),
    (312, "Cleartext Storage of Sensitive Information"),
    (319, "Cleartext Transmission of Sensitive Information"),
    (321, "Use of Hard-coded Cryptographic Key"),
    (326, "Inadequate Encryption Strength"),
    (327, "Use of a Broken or Risky Cryptographic Algorithm"),
    (328, "Use of Weak Hash"),
    (329, "Generation of Predictable IV with CBC Mode"),
    (330, "Use of Insufficiently Random Values"),
    (335, "Incorrect Usage of Seeds in Pseudo-Random Number Generator"),
    (338, "Use of Cryptographically Weak Pseudo-Random Number Generator"),
    (345, "Insufficient Verification of Data Authenticity"),
    (346, "Origin Validation Error"),
    (347, "Improper Verification of Cryptographic Signature"),
    (352, "Cross-Site Request Forgery"),
    (362, "Race Condition"),
    (367, "Time-of-check Time-of-use Race Condition"),
    (369, "Divide By Zero"),
    (377, "Insecure Temporary File"),
    (382, "Use of System.exit()"),
    (384, "Session Fixation"),
    (400, "Uncontrolled Resource Consumption"),
    (401, "Missing Release of Memory after Effective Lifetime"),
    (409, "Improper Handling of Highly Compressed Data"),
    (415, "Double Free"),
    (416, "Use After Free"),
    (426, "Untrusted Search Path"),
    (434, "Unrestricted Upload of File with Dangerous Type"),
    (457, "Use of Uninitialized Variable"),
    (470, "Unsafe Reflection"),
    (475, "Undefined Behavior for Input to API"),
    (476, "NULL Pointer Dereference"),
    (489, "Active Debug Code"),
    (494, "Download of Code Without Integrity Check"),
    (502, "Deserialization of Untrusted Data"),
    (506, "Embedded Malicious Code"),
    (522, "Insufficiently Protected Credentials"),
    (530, "Exposure of Backup File to an Unauthorized Control Sphere"),
    (532, "Insertion of Sensitive Information into Log File"),
    (
        538,
        "Insertion of Sensitive Information into Externally-Accessible File or Directory",
    ),
    (540, "Inclusion of Sensitive Information in Source Code"),
    (547, "Use of Hard-coded, Security-relevant Constants"),
    (562, "Return of Stack Variable Address"),
    (564, "SQL Injection: Hibernate"),
    (590, "Free of Memory not on the Heap"),
    (601, "Open Redirect"),
    (605, "Multiple Binds to the Same Port"),
    (611, "Improper Restriction of XML External Entity Reference"),
    (614, "Sensitive Cookie in HTTPS Session Without 'Secure' Attribute"),
    (615, "Inclusion of Sensitive Information in Source Code Comments"),
    (617, "Reachable Assertion"),
    (639, "Authorization Bypass Through User-Controlled Key"),
    (643, "XPath Injection"),
    (668, "Exposure of Resource to Wrong Sphere"),
    (674, "Uncontrolled Recursion"),
    (676, "Use of Potentially Dangerous Function"),
    (681, "Incorrect Conversion between Numeric Types"),
    (693, "Protection Mechanism Failure"),
    (704, "Incorrect Type Conversion or Cast"),
    (732, "Incorrect Permission Assignment for Critical Resource"),
    (749, "Exposed Dangerous Method or Function"),
    (754, "Improper Check for Unusual or Exceptional Conditions"),
    (758, "Reliance on Undefined Behavior"),
    (759, "Use of a One-Way Hash without a Salt"),
    (760, "Use of a One-Way Hash with a Predictable Salt"),
    (762, "Mismatched Memory Management Routines"),
    (770, "Allocation of Resources Without Limits or Throttling"),
    (776, "XML Entity Expansion"),
    (780, "Use of RSA Algorithm without OAEP"),
    (787, "Out-of-bounds Write"),
    (789, "Memory Allocation with Excessive Size Value"),
    (798, "Use of Hard-coded Credentials"),
    (824, "Access of Uninitialized Pointer"),
    (829, "Inclusion of Functionality from Untrusted Control Sphere"),
    (843, "Type Confusion"),
    (862, "Missing Authorization"),
    (863, "Incorrect Authorization"),
    (908, "Use of Uninitialized Resource"),
    (915, "Mass Assignment"),
    (916, "Use of Password Hash With Insufficient Computational Effort"),
    (917, "Expression Language Injection"),
    (918, "Server-Side Request Forgery"),
    (922, "Insecure Storage of Sensitive Information"),
    (926, "Improper Export of Android Application Components"),
    (942, "Permissive Cross-domain Policy with Untrusted Domains"),
    (943, "Improper Neutralization of Special Elements in Data Query Logic"),
    (1004, "Sensitive Cookie Without 'HttpOnly' Flag"),
    (1104, "Use of Unmaintained Third Party Components"),
    (1188, "Initialization of a Resource with an Insecure Default"),
    (1295, "Debug Messages Revealing Unnecessary Information"),
    (1321, "Prototype Pollution"),
    (1327, "Binding to an Unrestricted IP Address"),
    (1333, "Inefficient Regular Expression Complexity"),
    (1335, "Incorrect Bitwise Shift of Integer"),
    (1336, "Template Injection"),
    (1390, "Weak Authentication"),
    (1391, "Use of Weak Credentials"),
    (1395, "Dependency on Vulnerable Third-Party Component"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_so_that_they_are_found() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(cwe_name(78), Some("OS Command Injection"));
        assert_eq!(cwe_name(0), None);
    }

    #[test]
    fn a_hard_coded_password_and_a_hard_coded_credential_are_the_same_mistake() {
        assert!(related(&[259], &[798]));
        assert!(!related(&[259], &[89]));
        assert!(!related(&[], &[]));
    }
}
