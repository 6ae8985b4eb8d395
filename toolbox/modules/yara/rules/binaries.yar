// Things that should not be in what is shipped. Descriptions, severities and weaknesses are in `meta`.

rule private_key_in_program
{
    meta:
        description = "A private key is part of the file"
        severity = "high"
        cwe = "CWE-321"
    strings:
        $pem = /-----BEGIN (RSA |EC |DSA |OPENSSH |ENCRYPTED )?PRIVATE KEY-----\s+[A-Za-z0-9+\/=]{16}/
    condition:
        $pem and (uint32(0) == 0x464c457f or uint16(0) == 0x5a4d or uint32(0) == 0xfeedfacf or uint32(0) == 0xfeedface)
}

rule packed_with_upx
{
    meta:
        description = "The program is packed with UPX: what it does cannot be read without unpacking it"
        severity = "low"
        cwe = "CWE-506"
    strings:
        $section = "UPX!"
        $text = "This file is packed with the UPX executable packer"
    condition:
        (uint32(0) == 0x464c457f or uint16(0) == 0x5a4d) and $section and ($text or #section > 1)
}

rule old_openssl_linked_in
{
    meta:
        description = "A version of OpenSSL that gets no more fixes is linked in"
        severity = "high"
        cwe = "CWE-1395"
    strings:
        $version = /OpenSSL (0\.9\.[0-9][a-z]*|1\.0\.[0-2][a-z]*|1\.1\.[01][a-z]*) +[0-9]{1,2} [A-Z][a-z]{2} 20[0-9]{2}/
    condition:
        $version and (uint32(0) == 0x464c457f or uint16(0) == 0x5a4d or uint32(0) == 0xfeedfacf or uint32(0) == 0xfeedface)
}

rule old_zlib_linked_in
{
    meta:
        description = "A version of zlib with a memory error (before 1.2.12) is linked in"
        severity = "medium"
        cwe = "CWE-1395"
    strings:
        $deflate = /deflate 1\.(1\.[0-9]|2\.([0-9]|10|11)) Copyright/
        $inflate = /inflate 1\.(1\.[0-9]|2\.([0-9]|10|11)) Copyright/
    condition:
        any of them and (uint32(0) == 0x464c457f or uint16(0) == 0x5a4d or uint32(0) == 0xfeedfacf or uint32(0) == 0xfeedface)
}

rule reverse_shell
{
    meta:
        description = "The file holds a command that gives a shell to another machine"
        severity = "critical"
        cwe = "CWE-506"
    strings:
        $bash = /bash -i >& ?\/dev\/tcp\/[0-9a-zA-Z.]{3,60}\/[0-9]{1,5}/
        $netcat = /\bnc(at)? (-[a-z]+ )*-e \/bin\/(ba)?sh [0-9a-zA-Z.]{3,60} [0-9]{1,5}/
    condition:
        any of them
}
