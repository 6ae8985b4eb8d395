package shop;

import java.security.MessageDigest;
import javax.crypto.Cipher;
import javax.net.ssl.SSLContext;

final class Crypto {
    Cipher cipher() throws Exception {
        return Cipher.getInstance("DES/CBC/PKCS5Padding");
    }

    Cipher cipherSafe() throws Exception {
        return Cipher.getInstance("AES/GCM/NoPadding");
    }

    byte[] hash(byte[] data) throws Exception {
        return MessageDigest.getInstance("SHA-1").digest(data);
    }

    byte[] hashSafe(byte[] data) throws Exception {
        return MessageDigest.getInstance("SHA-256").digest(data);
    }

    SSLContext tls() throws Exception {
        return SSLContext.getInstance("SSLv3");
    }

    SSLContext tlsSafe() throws Exception {
        return SSLContext.getInstance("TLSv1.3");
    }
}
