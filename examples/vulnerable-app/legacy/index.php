<!DOCTYPE html>
<html lang="en">
<body>
<h1>Old catalogue</h1>
<?php
require_once __DIR__ . "/db.php";
$db = connect();
$category = $_GET["category"];
$rows = mysqli_query($db, "SELECT * FROM items WHERE category = '" . $category . "'");
$page = (int) $_GET["page"];
$more = mysqli_query($db, "SELECT * FROM items LIMIT 20 OFFSET $page");
$pages = ["home" => "home.php", "terms" => "terms.php"];
include $pages[$_GET["view"]] ?? "home.php";
include "themes/" . $_GET["theme"] . ".php";
?>
<p>Category: <?= $category ?></p>
<p>Category: <?= htmlspecialchars($category) ?></p>
<?php
$cart = unserialize($_COOKIE["cart"]);
$settings = json_decode($_COOKIE["settings"], true);
system("gzip " . $_POST["file"]);
system("gzip " . escapeshellarg($_POST["file"]));
$hash = md5($_POST["password"]);
$good = password_hash($_POST["password"], PASSWORD_DEFAULT);
phpinfo();
?>
</body>
</html>
