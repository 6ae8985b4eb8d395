const mapsKey = "AIzasuyMW9ZfwKm-xoHAZhOwjl0PQ-pKW-5fxu4";
const params = new URLSearchParams(location.search);

document.getElementById("title").innerHTML = "Results for " + params.get("q");
document.getElementById("count").textContent = "Page " + params.get("page");
document.getElementById("logo").innerHTML = "<img src='logo.svg'>";

setTimeout(() => document.body.classList.add("ready"), 100);
loadMap(mapsKey);
