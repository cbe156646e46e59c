addEventListener("beforeprint", () => document.querySelectorAll("details.answer").forEach((answer) => { answer.open = true; }));
