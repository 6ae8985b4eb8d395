// The browser's side.
function greet() {
  const name = new URLSearchParams(location.search).get("name");
  document.getElementById("greeting").innerHTML = "Hello " + name;
}

function greetSafely() {
  const name = new URLSearchParams(location.search).get("name");
  document.getElementById("greeting").textContent = "Hello " + name;
}
