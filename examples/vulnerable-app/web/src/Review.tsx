import DOMPurify from "dompurify";

type Props = { body: string; author: string };

export function Review({ body, author }: Props) {
  return (
    <article>
      <h3>{author}</h3>
      <div dangerouslySetInnerHTML={{ __html: body }} />
    </article>
  );
}

export function SafeReview({ body, author }: Props) {
  return (
    <article>
      <h3>{author}</h3>
      <div dangerouslySetInnerHTML={{ __html: DOMPurify.sanitize(body) }} />
    </article>
  );
}
