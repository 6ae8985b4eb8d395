.class public Lcom/example/shop/Crypto;
.super Ljava/lang/Object;
.source "Crypto.java"

.field public static final API_SECRET:Ljava/lang/String; = "q8Zr2LmX0vTe5Yb7"

# DES, ECB and MD5.
.method public static weak()V
    .registers 3
    const-string v0, "DES/ECB/PKCS5Padding"
    invoke-static {v0}, Ljavax/crypto/Cipher;->getInstance(Ljava/lang/String;)Ljavax/crypto/Cipher;
    move-result-object v0
    const-string v1, "MD5"
    invoke-static {v1}, Ljava/security/MessageDigest;->getInstance(Ljava/lang/String;)Ljava/security/MessageDigest;
    move-result-object v1
    return-void
.end method

# A key of a constant.
.method public static key()Ljavax/crypto/spec/SecretKeySpec;
    .registers 4
    const-string v0, "w4Kd9Qp1Rs6Vu3Xz"
    invoke-virtual {v0}, Ljava/lang/String;->getBytes()[B
    move-result-object v1
    new-instance v2, Ljavax/crypto/spec/SecretKeySpec;
    const-string v3, "AES"
    invoke-direct {v2, v1, v3}, Ljavax/crypto/spec/SecretKeySpec;-><init>([BLjava/lang/String;)V
    return-object v2
.end method

# Looks for an emulator.
.method public static emulated()Z
    .registers 3
    sget-object v0, Landroid/os/Build;->FINGERPRINT:Ljava/lang/String;
    const-string v1, "generic"
    invoke-virtual {v0, v1}, Ljava/lang/String;->startsWith(Ljava/lang/String;)Z
    move-result v2
    sget-object v0, Landroid/os/Build;->MODEL:Ljava/lang/String;
    sget-object v0, Landroid/os/Build;->MANUFACTURER:Ljava/lang/String;
    sget-object v0, Landroid/os/Build;->HARDWARE:Ljava/lang/String;
    sget-object v0, Landroid/os/Build;->PRODUCT:Ljava/lang/String;
    const-string v1, "ro.kernel.qemu"
    return v2
.end method

# Looks for a debugger.
.method public static watched()Z
    .registers 1
    invoke-static {}, Landroid/os/Debug;->isDebuggerConnected()Z
    move-result v0
    return v0
.end method
