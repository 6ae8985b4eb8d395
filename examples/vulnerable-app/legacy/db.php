<?php
function connect()
{
    return mysqli_connect("db.internal", "shop", "DiSrAeih1A6GuIzp", "shop");
}

function connect_from_environment()
{
    return mysqli_connect("db.internal", "shop", getenv("DB_PASSWORD"), "shop");
}
