-- What visitors did, in our own words: view, click, fill in, send; from the events of each sender.
WITH told AS (
    SELECT
        *,
        lower(event_name) AS named,
        json_text(attributes_json, '$event_type') AS captured,
        coalesce(form_id, url_path) AS form
    FROM product_events
)

SELECT
    event_id,
    source,
    timestamp,
    date_trunc('hour', timestamp) AS event_hour,
    service_name,
    service_version,
    deployment_environment_name,
    session_id,
    enduser_pseudo_id,
    event_name,
    url_path,
    target,
    form,
    CASE
        WHEN named IN ('$rageclick', 'rage_click', 'rageclick') THEN 'rage'
        WHEN is_dead OR named IN ('dead_click', 'deadclick') THEN 'dead'
        WHEN
            named IN (
                '$pageview', 'pageview', 'page_view', 'page', '$screen', 'screen', 'page viewed',
                'browser.page_view'
            )
            THEN 'view'
        WHEN
            named IN ('click', 'ui.click', 'app.widget.click', 'app.screen.click', 'element clicked')
            OR regexp_matches(named, '(^|[ _])click(ed)?$')
            OR (named = '$autocapture' AND captured = 'click')
            THEN 'click'
        WHEN
            named IN ('submit', 'form_submit', 'form_submitted', 'form submitted')
            OR (named = '$autocapture' AND captured = 'submit')
            THEN 'send'
        WHEN
            named IN (
                'focus', 'input', 'change', 'form_start', 'form_started', 'form started',
                'form_change', 'form_focus'
            )
            OR (named = '$autocapture' AND captured = 'change')
            THEN 'fill'
        ELSE 'other'
    END AS action
FROM told
