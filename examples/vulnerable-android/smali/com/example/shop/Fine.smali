.class public Lcom/example/shop/Fine;
.super Ljava/lang/Object;
.source "Fine.java"

# A name for a setting, and a placeholder: no keys.
.field public static final TOKEN_SETTING:Ljava/lang/String; = "your token here"

# Nothing is wrong: an authenticated cipher, a good hash, a key that comes from elsewhere, and a text that names DES.
.method public static strong([B)Ljavax/crypto/spec/SecretKeySpec;
    .registers 5
    const-string v0, "DES/ECB/PKCS5Padding"
    invoke-static {v0}, Landroid/util/Log;->d(Ljava/lang/String;)I
    const-string v0, "AES/GCM/NoPadding"
    invoke-static {v0}, Ljavax/crypto/Cipher;->getInstance(Ljava/lang/String;)Ljavax/crypto/Cipher;
    move-result-object v0
    const-string v1, "SHA-256"
    invoke-static {v1}, Ljava/security/MessageDigest;->getInstance(Ljava/lang/String;)Ljava/security/MessageDigest;
    move-result-object v1
    new-instance v2, Ljavax/crypto/spec/SecretKeySpec;
    const-string v3, "AES"
    invoke-direct {v2, p0, v3}, Ljavax/crypto/spec/SecretKeySpec;-><init>([BLjava/lang/String;)V
    return-object v2
.end method
